import { join } from 'node:path';

import { z } from 'zod';

import { TowerError } from '../errors.js';
import { readJsonIfExists } from '../files/read-json.js';
import { qloraHyperparametersSchema } from '../qlora/hyperparameters.js';

const { baseModel, trustRemoteCode, maxLength, loadIn4bit, quantType, computeDtype, doubleQuantisation } =
  qloraHyperparametersSchema.shape;

/** The hyperparameters that decide how the base model is loaded and how long a sample may be. */
export const modelSettingsSchema = z.object({
  ...{ baseModel, trustRemoteCode, maxLength, loadIn4bit, quantType, computeDtype, doubleQuantisation },
});

/** The champion that a candidate is to replace, and whether their losses can be compared. */
const championComparisonSchema = z.discriminatedUnion('comparison', [
  z.object({ comparison: z.literal('losses'), version: z.string(), adapter: z.string() }),
  /** Its losses mean nothing to this candidate, which has to be better than its base model alone. */
  z.object({ comparison: z.literal('base-only'), version: z.string(), reason: z.string() }),
  /** It should be compared, and cannot be. */
  z.object({ comparison: z.literal('unavailable'), version: z.string(), reason: z.string() }),
  /** This candidate may not replace it, whatever the losses are. */
  z.object({ comparison: z.literal('refused'), version: z.string(), reason: z.string() }),
]);

export type ChampionComparison = z.output<typeof championComparisonSchema>;

/** `evaluation.json`: what one evaluation compares; written once, after the held-out file it names. */
export const evaluationPlanSchema = z.object({
  version: z.literal(1),
  simulated: z.boolean(),
  candidate: z.object({ version: z.string(), adapter: z.string() }),
  champion: championComparisonSchema.nullable(),
  model: modelSettingsSchema,
  heldOut: z.object({
    samples: z.int().nonnegative(),
    /** Samples left out because the champion was trained with them. */
    seenByChampion: z.int().nonnegative(),
    sha256: z.string(),
  }),
});

export type EvaluationPlan = z.output<typeof evaluationPlanSchema>;

/** Where the files of one evaluation lie inside its run folder. */
export interface EvaluationFiles {
  readonly plan: string;
  /** The evaluator's configuration. */
  readonly config: string;
  readonly heldOut: string;
  readonly result: string;
}

export function evaluationFiles(directory: string): EvaluationFiles {
  return {
    plan: join(directory, 'evaluation.json'),
    config: join(directory, 'config.json'),
    heldOut: join(directory, 'dataset', 'heldout.jsonl'),
    result: join(directory, 'output', 'result.json'),
  };
}

/** @throws TowerError `EVALUATION_NOT_PLANNED` when the folder holds no plan. */
export async function readEvaluationPlan(directory: string): Promise<EvaluationPlan> {
  const plan = await readJsonIfExists(evaluationFiles(directory).plan, evaluationPlanSchema);
  if (plan !== undefined) return plan;
  throw new TowerError('EVALUATION_NOT_PLANNED', `${directory} holds no evaluation.json`, {
    next: 'Run the cycle again: it plans the evaluation anew.',
  });
}
