import type { CharacterJob } from './job.js';
import type { Attributes, Axis } from './vocabulary.js';

/** One image of a plan. */
export interface PlannedImage {
  /** From 1. */
  readonly index: number;
  /** 1 to 2147483647; no two images of a plan have the same. */
  readonly seed: number;
  readonly attributes: Attributes;
  readonly prompt: string;
}

/** Fixed before the first image; `plan.json` of the run. */
export interface CharacterPlan {
  readonly version: 1;
  readonly seed: number;
  readonly negativePrompt: string;
  readonly images: readonly PlannedImage[];
}

export interface AxisCoverage {
  readonly axis: Axis;
  readonly values: readonly { readonly value: string; readonly count: number }[];
  /** Images that show no value of this axis: no face is seen. */
  readonly without: number;
}

type PlannedJob = Pick<
  CharacterJob,
  'count' | 'seed' | 'description' | 'trigger' | 'triggerInPrompts' | 'promptQuality' | 'negative'
>;

/** Plans a job's images; the same job gives the same plan (docs/character-lora.md, "The plan"). */
export declare function planImages(job: PlannedJob): CharacterPlan;

/** How often each value of each axis is used. */
export declare function coverageOf(images: readonly { readonly attributes: Attributes }[]): AxisCoverage[];

/**
 * Seed of an image's attempt: attempt 0 has the planned one, each further one another, the same whenever it is asked for.
 */
export declare function attemptSeed(plan: Pick<CharacterPlan, 'seed'>, image: PlannedImage, attempt: number): number;

/** @returns `undefined` when there is no plan yet. @throws TowerError `FILE_INVALID` */
export declare function readPlan(path: string): Promise<CharacterPlan | undefined>;
