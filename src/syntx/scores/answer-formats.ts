/** Which fields an answer is expected to have (contract syntx 3.5). */
export type AnswerFormat = 'SYNTEX_SYSTEM' | 'SIGMA' | 'HUMAN';

interface FormatRules {
  /** Share of each field in the completeness; together 100. */
  readonly weights: Readonly<Record<string, number>>;
  /** Texts whose presence anywhere in the answer makes up the structure. */
  readonly markers: readonly string[];
}

const numbers = ['1.', '2.', '3.', '4.', '5.', '6.'];

export const formatRules: Readonly<Record<AnswerFormat, FormatRules>> = {
  SYNTEX_SYSTEM: { weights: { driftkorper: 33, kalibrierung: 34, stromung: 33 }, markers: ['###'] },
  SIGMA: {
    weights: {
      ...{ sigma_drift: 15, sigma_mechanismus: 20, sigma_frequenz: 15 },
      ...{ sigma_dichte: 20, sigma_strome: 20, sigma_extrakt: 10 },
    },
    markers: numbers,
  },
  HUMAN: {
    weights: { drift: 15, hintergrund_muster: 20, druckfaktoren: 15, tiefe: 20, wirkung: 20, klartext: 10 },
    markers: numbers,
  },
};

/** Every field that a parser can find, in the order of the original's logs. */
export const allFields: readonly string[] = [
  ...Object.keys(formatRules.HUMAN.weights),
  ...Object.keys(formatRules.SYNTEX_SYSTEM.weights),
  ...Object.keys(formatRules.SIGMA.weights),
];
