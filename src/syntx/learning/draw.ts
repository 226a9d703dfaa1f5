import type { SeededRandom } from '../../seeded-random.js';
import { pythonRound } from '../scores/python-round.js';
import { shuffled } from './distributions.js';
import type { Cell, Landscape, ScoredJob } from './scored-job.js';

/** Why a prompt's cell was drawn. */
export interface DrawReason {
  /**
   * `random`: nothing has been scored yet, or the policy wants it so. `sampled`: the best cell of a landscape that may well be
   * the true one. `coverage`: not drawn for long. `pattern`: among the styles of the best jobs.
   */
  readonly kind: 'random' | 'sampled' | 'coverage' | 'pattern';
  /** One sentence for people, with the figures. */
  readonly text: string;
}

/** One prompt to be generated. */
export interface PlannedPrompt extends Cell {
  readonly topic: string;
  readonly reason: DrawReason;
}

export interface DrawInput {
  /** Every scored job that is known, in any order. */
  readonly jobs: readonly ScoredJob[];
  /** Prompts that have been drawn and not scored yet: they wait, or are being answered. */
  readonly pending: readonly Cell[];
  readonly landscape: Landscape;
  readonly count: number;
  /** The same seed with the same input gives the same draws. */
  readonly seed: string;
}

/** What a run has learned from, in the terms of `evolution.jsonl` (contract syntx 2.6). */
export interface LearnedFrom {
  readonly sampleCount: number;
  readonly averageScore: number;
  readonly averageFieldCompleteness: number;
  /** At most three, best first. */
  readonly topCategories: readonly string[];
  readonly topStyles: readonly string[];
}

export interface Drawn {
  readonly prompts: readonly PlannedPrompt[];
  /** `null`: nothing could be learned, the run explores. */
  readonly learnedFrom: LearnedFrom | null;
  /** Ids of the jobs that taught; those of them in `processed/` are archived once the new prompts are written. */
  readonly taught: readonly string[];
}

export type LearningPolicy = (input: DrawInput, random: SeededRandom) => Drawn;

/** Mean of the jobs that taught, rounded as upstream does. */
export function averagesOf(
  jobs: readonly ScoredJob[],
): Pick<LearnedFrom, 'sampleCount' | 'averageScore' | 'averageFieldCompleteness'> {
  const mean = (values: readonly number[]) =>
    values.length === 0 ? 0 : pythonRound(values.reduce((sum, value) => sum + value, 0) / values.length, 2);
  return {
    sampleCount: jobs.length,
    averageScore: mean(jobs.map(({ score }) => score)),
    averageFieldCompleteness: mean(jobs.map(({ fieldCompleteness }) => fieldCompleteness ?? 0)),
  };
}

/** Deals the topics of each category in a random order, and begins again only when all of them have been dealt. */
export class TopicDealer {
  readonly #landscape: Landscape;
  readonly #random: SeededRandom;
  readonly #left = new Map<string, string[]>();

  constructor(landscape: Landscape, random: SeededRandom) {
    this.#landscape = landscape;
    this.#random = random;
  }

  next(category: string): string {
    let left = this.#left.get(category) ?? [];
    if (left.length === 0) left = shuffled(this.#random, this.#landscape.topics[category] ?? []);
    this.#left.set(category, left.slice(1));
    return left[0] ?? '';
  }
}
