import type { AnswerFormat } from './answer-formats.js';
import { pythonSpace, stripped } from './python-text.js';

/** Texts of the fields that were found, without their headings; a field that was not found is missing. */
export type ParsedFields = Readonly<Record<string, string>>;

interface FieldRule {
  readonly field: string;
  /** Its first match is the field; group 1 is its text, still with a heading that `heading` removes. */
  readonly pattern: RegExp;
  readonly heading?: RegExp;
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
  const end = number === 6 ? '$' : String.raw`\n${space}*${number + 1}\.|$`;
  const start = String.raw`${number}\.${space}*`;
  return field === 'wirkung'
    ? { field, pattern: new RegExp(`${start}(${token}.*?)(?=${end})`, flags), heading: effectHeading }
    : { field, pattern: new RegExp(`${start}${token}[:${pythonSpace}]*(.*?)(?=${end})`, flags) };
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
  const found = rulesOf[parser].flatMap(({ field, pattern, heading }) => {
    const text = pattern.exec(answer)?.[1];
    if (text === undefined) return [];
    return [[field, stripped(heading === undefined ? text : text.replace(heading, ''))] as const];
  });
  return Object.fromEntries(found);
}
