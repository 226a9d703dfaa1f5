import { formatRules, type AnswerFormat } from './answer-formats.js';
import { parseAnswer, parserFor, type ParsedFields } from './parse-answer.js';
import { stripped } from './python-text.js';

/** Score V1 of an answer, as it is stored in `syntex_result.quality_score` (contract syntx 1.3). */
export interface QualityScore {
  /** 0 to 100, whole. */
  readonly total_score: number;
  /** Sum of the weights of the fields that have any text, in percent. */
  readonly field_completeness: number;
  /** How many of the format's markers are anywhere in the answer, in percent; six markers reach 96. */
  readonly structure_adherence: number;
  /** Field → whether it has any text. */
  readonly detail_breakdown: Readonly<Record<string, boolean>>;
}

/** `auto` lets the words of the answer choose, as the original does for every job. */
export const scoreFormats = ['auto', 'sigma', 'syntex_system', 'human'] as const;
export type ScoreFormat = (typeof scoreFormats)[number];

export interface ScoredAnswer {
  readonly format: AnswerFormat;
  readonly fields: ParsedFields;
  readonly score: QualityScore;
}

const chosenFormat = { sigma: 'SIGMA', syntex_system: 'SYNTEX_SYSTEM', human: 'HUMAN' } as const;

/**
 * Parses and scores an answer exactly as the original does (contract syntx 3.5). Only presence counts: any text in a field
 * counts fully.
 *
 * @returns `null` for an answer without any text, which has no score.
 */
export function scoreAnswer(answer: string, format: ScoreFormat = 'auto'): ScoredAnswer | null {
  if (stripped(answer) === '') return null;
  const parser = format === 'auto' ? parserFor(answer) : chosenFormat[format];
  const fields = parseAnswer(answer, parser);
  // An answer whose words chose a parser that finds nothing is scored as the third format.
  const found = Object.values(fields).some((text) => text !== '');
  const scored = found || format !== 'auto' ? parser : 'HUMAN';
  return { format: scored, fields, score: scoreFields(answer, fields, scored) };
}

function scoreFields(answer: string, fields: ParsedFields, format: AnswerFormat): QualityScore {
  const { weights, markers } = formatRules[format];
  const breakdown = Object.fromEntries(Object.keys(weights).map((field) => [field, (fields[field] ?? '') !== '']));
  const completeness = Object.entries(weights).reduce(
    (sum, [field, weight]) => sum + (breakdown[field] ? weight : 0),
    0,
  );
  const present = markers.filter((marker) => answer.includes(marker)).length;
  const structure = Math.min(100, present * Math.floor(100 / markers.length));
  return {
    // In floating point and in this order: exact arithmetic gives other totals (66 and 16 would be 51).
    total_score: Math.trunc(completeness * 0.7 + structure * 0.3),
    field_completeness: completeness,
    structure_adherence: structure,
    detail_breakdown: breakdown,
  };
}
