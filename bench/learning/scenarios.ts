import type { WorldKind } from './world.js';

export interface Scenario {
  readonly name: string;
  readonly kind: WorldKind;
  /** A score is known when so many more prompts have been drawn. */
  readonly delay: number;
}

export const scoresPerDay = 100;
export const batch = 20;

const plain: WorldKind = {
  ...{ styles: 4, categories: 7, mean: 78 },
  ...{ styleDeviation: 8, categoryDeviation: 5, pairDeviation: 6 },
  ...{ noise: 10, unevenNoise: 1 },
};
/** Shows that the learner was not made for the spread of the plain worlds. */
const otherSpread: WorldKind = {
  ...{ ...plain, mean: 60 },
  ...{ styleDeviation: 3, categoryDeviation: 10, pairDeviation: 3, noise: 18 },
};

/** What answers with three headings can score (contract syntx 3.5), 0 without any. */
const threeHeadings: WorldKind = { ...plain, steps: [0, 53, 76, 100] };

export const scenarios: readonly Scenario[] = [
  { name: 'plain', kind: plain, delay: 0 },
  { name: 'uneven noise', kind: { ...plain, unevenNoise: 3 }, delay: 0 },
  { name: 'a day late', kind: plain, delay: scoresPerDay },
  { name: 'other spread', kind: otherSpread, delay: 0 },
  { name: 'few steps', kind: threeHeadings, delay: 0 },
];
