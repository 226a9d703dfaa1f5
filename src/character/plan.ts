import { z } from 'zod';

import { readJsonIfExists } from '../files/read-json.js';
import { SeededRandom } from '../seeded-random.js';
import { largestSeed, type CharacterJob } from './job.js';
import { planAttributes } from './plan-attributes.js';
import { joinTags, promptOf } from './prompts.js';
import { axes, vocabulary, type Attributes, type Axis } from './vocabulary.js';

const plannedImageSchema = z.object({
  /** From 1. */
  index: z.int().min(1),
  /** No two images of a plan have the same. */
  seed: z.int().min(1).max(largestSeed),
  attributes: z.object({
    pose: z.string(),
    expression: z.string().nullable(),
    angle: z.string(),
    lighting: z.string(),
    background: z.string(),
  }),
  prompt: z.string().min(1),
});
/** One image of a plan. */
export type PlannedImage = z.output<typeof plannedImageSchema>;

const planSchema = z.object({
  version: z.literal(1),
  seed: z.int().min(0),
  negativePrompt: z.string(),
  images: z.array(plannedImageSchema).min(1),
});
/** Fixed before the first image; `plan.json` of the run. */
export type CharacterPlan = z.output<typeof planSchema>;

export interface AxisCoverage {
  readonly axis: Axis;
  readonly values: readonly { readonly value: string; readonly count: number }[];
  /** Images that show no value of this axis: no face is seen. */
  readonly without: number;
}

export type PlannedJob = Pick<
  CharacterJob,
  'count' | 'seed' | 'description' | 'trigger' | 'triggerInPrompts' | 'promptQuality' | 'negative'
>;

/** Plans a job's images; the same job gives the same plan (docs/character-lora.md, "The plan"). */
export function planImages(job: PlannedJob): CharacterPlan {
  const random = new SeededRandom(`character seeds ${job.seed}`);
  const seeds = new Set<number>();
  while (seeds.size < job.count) seeds.add(random.between(1, largestSeed));
  const [...imageSeeds] = seeds;
  return {
    version: 1,
    seed: job.seed,
    negativePrompt: joinTags(job.negative),
    images: planAttributes(job.count, job.seed).map((attributes, position) => ({
      index: position + 1,
      seed: imageSeeds[position] ?? 1,
      attributes,
      prompt: promptOf(job, attributes),
    })),
  };
}

/** How often each value of each axis is used. */
export function coverageOf(images: readonly { readonly attributes: Attributes }[]): AxisCoverage[] {
  return axes.map((axis) => {
    const counts = new Map<string | null, number>(vocabulary[axis].map((value) => [value, 0]));
    for (const { attributes } of images) counts.set(attributes[axis], (counts.get(attributes[axis]) ?? 0) + 1);
    const without = counts.get(null) ?? 0;
    counts.delete(null);
    return { axis, values: [...counts].map(([value, count]) => ({ value: value ?? '', count })), without };
  });
}

/**
 * Seed of an image's attempt: attempt 0 has the planned one, each further one another, the same whenever it is asked for.
 */
export function attemptSeed({ seed }: Pick<CharacterPlan, 'seed'>, image: PlannedImage, attempt: number): number {
  const random = new SeededRandom(`character attempts ${seed} ${image.index}`);
  const used = [image.seed];
  while (used.length <= attempt) {
    const drawn = random.between(1, largestSeed);
    if (!used.includes(drawn)) used.push(drawn);
  }
  return used[attempt] ?? image.seed;
}

/** @returns `undefined` when there is no plan yet. @throws TowerError `FILE_INVALID` */
export async function readPlan(path: string): Promise<CharacterPlan | undefined> {
  return readJsonIfExists(path, planSchema);
}
