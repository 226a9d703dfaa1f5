import type { AnswerFormat } from './answer-formats.js';
import { isSpaceAt, pythonSpace, stripped } from './python-text.js';

/** Texts of the fields that were found, without their headings; a field that was not found is missing. */
export type ParsedFields = Readonly<Record<string, string>>;

interface FieldRule {
  readonly field: string;
  /** Its first match is the field; group 1 is its text, still with a heading that `heading` removes. */
  readonly pattern: RegExp;
  readonly heading?: RegExp;
  /** The text ends before this number where it begins a line. */
  readonly endsBeforeLine?: number;
}

const space = `[${pythonSpace}]`;
/** Case does not matter, the dot takes line ends; no other flag, or the results differ from the original's. */
const flags = 'is';

const sigmaHeading = new RegExp(String.raw`^\d+\.${space}*Σ-[A-Z]+[-:]?`, flags);
const sigmaTokens = [
  ['sigma_drift', 'DRIFTGRADIENT'],
  ['sigma_mechanismus', 'MECHANISMUSKNOTEN'],
  ['sigma_frequenz', 'FREQUENZFELD'],
  ['sigma_dichte', 'DICHTELEVEL'],
  ['sigma_strome', 'ZWEISTRÖME'],
  ['sigma_extrakt', 'KERNEXTRAKT'],
] as const;

/** A field ends before the next number anywhere, also inside a decimal. */
const sigmaRules: readonly FieldRule[] = sigmaTokens.map(([field, token], index) => {
  const end = index === 5 ? '$' : String.raw`${index + 2}\.|$`;
  const pattern = new RegExp(String.raw`(${index + 1}\.${space}*Σ-${token}.*?)(?=${end})`, flags);
  return { field, pattern, heading: sigmaHeading };
});

const systemTokens = [
  ['driftkorper', 'Driftkörperanalyse'],
  ['kalibrierung', 'Kalibrierung'],
  ['stromung', 'Strömungsverhältnisse'],
] as const;

const systemRules: readonly FieldRule[] = systemTokens.map(([field, token]) => ({
  field,
  pattern: new RegExp(`###${space}*${token}[:${pythonSpace}]*(.*?)(?=###|$)`, flags),
}));

const humanTokens = [
  ['drift', 'DRIFT'],
  ['hintergrund_muster', String.raw`HINTERGRUND[-${pythonSpace}]*MUSTER`],
  ['druckfaktoren', 'DRUCKFAKTOREN'],
  ['tiefe', 'TIEFE'],
  ['wirkung', 'WIRKUNG'],
  ['klartext', 'KLARTEXT'],
] as const;

/** The original cuts the fifth heading off by its letters, and whatever else begins with letters with it. */
const effectHeading = new RegExp(`^[A-Z${pythonSpace}-]+[:${pythonSpace}]*`, flags);

const humanRules: readonly FieldRule[] = humanTokens.map(([field, token], index) => {
  const number = index + 1;
  const start = String.raw`${number}\.${space}*`;
  const end = number === 6 ? {} : { endsBeforeLine: number + 1 };
  return field === 'wirkung'
    ? { field, pattern: new RegExp(`${start}(${token}.*)`, flags), heading: effectHeading, ...end }
    : { field, pattern: new RegExp(`${start}${token}[:${pythonSpace}]*(.*)`, flags), ...end };
});

const rulesOf: Readonly<Record<AnswerFormat, readonly FieldRule[]>> = {
  SIGMA: sigmaRules,
  SYNTEX_SYSTEM: systemRules,
  HUMAN: humanRules,
};

/** The parser that the words of an answer choose (contract syntx 3.5, step 1); case matters here. */
export function parserFor(answer: string): AnswerFormat {
  const has = (word: string) => answer.includes(word);
  if (has('Σ-DRIFTGRADIENT') || has('Σ-MECHANISMUSKNOTEN')) return 'SIGMA';
  return has('Driftkörperanalyse') || has('Strömungsverhältnisse') || has('Kalibrierung') ? 'SYNTEX_SYSTEM' : 'HUMAN';
}

/** Fields of an answer by one parser (step 2). */
export function parseAnswer(answer: string, parser: AnswerFormat): ParsedFields {
  const found = rulesOf[parser].flatMap(({ field, pattern, heading, endsBeforeLine }) => {
    const rest = pattern.exec(answer)?.[1];
    if (rest === undefined) return [];
    const text = endsBeforeLine === undefined ? rest : rest.slice(0, lineStartBefore(rest, `${endsBeforeLine}.`));
    return [[field, stripped(heading === undefined ? text : text.replace(heading, ''))] as const];
  });
  return Object.fromEntries(found);
}

/**
 * Where the original's `\n\s*<number>` first matches, or the end of the text. Found from the number backwards: forwards, each line end
 * of a long blank would look at all of it again.
 */
function lineStartBefore(text: string, number: string): number {
  for (let at = text.indexOf(number); at >= 0; at = text.indexOf(number, at + 1)) {
    let first = -1;
    for (let index = at - 1; index >= 0 && isSpaceAt(text, index); index--) if (text[index] === '\n') first = index;
    if (first >= 0) return first;
  }
  return text.length;
}
