import type { QualityScore, ScoredAnswer } from '../scores/quality-score.js';
import { allFields } from '../scores/answer-formats.js';

/** One call of the wrapper service, answered or not. */
export interface CalibrationRecord {
  /** Names this very call: it is logged once. */
  readonly key: string;
  readonly prompt: string;
  /** `null` when the call failed. */
  readonly response: string | null;
  /** As the original words it. */
  readonly error: string | null;
  readonly durationMs: number;
  readonly retries: number;
  /** As they were sent. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly scored: ScoredAnswer | null;
}

export interface ProgressRecord {
  readonly key: string;
  readonly sessionId: string;
  readonly score: QualityScore;
  readonly prompt: string;
}

/** One paid call of the generating model (contract syntx 6.1). */
export interface CostRecord {
  readonly key: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly inputCost: number;
  readonly outputCost: number;
  readonly totalCost: number;
  readonly currency: string;
  /** The endpoint says that it is simulated: the line says it too, under a key of Tower's. */
  readonly simulated?: boolean;
}

/** Own key of a line, after all of the original's: which call it is about. */
const ownKey = 'tower_call';

/** A line of `syntex_calibrations.jsonl` (contract syntx 3.7). The prompt goes out bare, so both of its lengths are one. */
export function calibrationLine(record: CalibrationRecord, now: Date): string {
  const { key, prompt, response, error, durationMs, retries, parameters, scored } = record;
  const fields = Object.fromEntries(allFields.map((field) => [field, scored?.fields[field] ?? null]));
  return JSON.stringify({
    ...{ timestamp: now.toISOString(), system: 'SYNTX::TRUE_RAW', meta_prompt: prompt },
    ...{ meta_prompt_length: lengthOf(prompt), full_prompt_length: lengthOf(prompt) },
    ...{ response, response_length: response === null ? 0 : lengthOf(response), success: error === null, error },
    ...{ duration_ms: durationMs, retry_count: retries, model_params: parameters },
    ...{ quality_score: scored?.score ?? null, parsed_fields: fields, [ownKey]: key },
  });
}

/** A line of `syntex_progress.jsonl` (contract syntx 3.7). */
export function progressLine({ key, sessionId, score, prompt }: ProgressRecord, now: Date): string {
  return JSON.stringify({
    ...{ timestamp: now.toISOString(), session_id: sessionId, quality_score: score.total_score },
    ...{ field_completeness: score.field_completeness, structure_adherence: score.structure_adherence },
    ...{ meta_prompt_length: lengthOf(prompt), [ownKey]: key },
  });
}

/** A line of `costs.jsonl` (contract syntx 6.1). @param timestamp local time. */
export function costLine(record: CostRecord, timestamp: string): string {
  return JSON.stringify({
    ...{ timestamp, input_tokens: record.inputTokens, output_tokens: record.outputTokens },
    ...{ input_cost: record.inputCost, output_cost: record.outputCost, total_cost: record.totalCost },
    ...{ currency: record.currency, [ownKey]: record.key, ...(record.simulated === true && { tower_simulated: true }) },
  });
}

/**
 * A line of `gpt_prompts.jsonl` (contract syntx 6.2).
 *
 * @param record the keys of a success, a refusal or a failure, as they are there.
 * @param timestamp local time.
 */
export function generationLine(
  { key, record }: { readonly key: string; readonly record: Readonly<Record<string, unknown>> },
  timestamp: string,
): string {
  return JSON.stringify({ timestamp, ...record, [ownKey]: key });
}

/** How a line of this key can be found again. */
export function keyOf(key: string): string {
  return `"${ownKey}":${JSON.stringify(key)}`;
}

/** Lengths are counted in code points, as Python counts them. */
function lengthOf(text: string): number {
  return [...text].length;
}
