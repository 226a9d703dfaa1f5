import { z } from 'zod';

import { TowerError } from '../errors.js';
import { batchNameFault } from '../signz-mind/batch-name.js';

/** Activity inputs, checked where they enter: a person, or a workflow of another Tower version, may have sent them. */

/** @throws TowerError `BAD_INPUT`, which is not retried: what does not fit will not fit the next time. */
export function checked<Schema extends z.ZodType>(schema: Schema, input: unknown): z.output<Schema> {
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new TowerError('BAD_INPUT', `the input does not fit:\n${z.prettifyError(result.error)}`, {
    next: 'docs/workflows.md has the input of every workflow; a workflow of another version of Tower may have sent this one.',
  });
}

const runId = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/, 'expected a run id');

export const runReferenceSchema = z.object({
  run: runId,
  generation: z.int().nonnegative(),
  gpuIndex: z.int().nonnegative(),
});

export const cycleReferenceSchema = z.object({ logicalTime: z.iso.datetime() });

export const planTrainingSchema = cycleReferenceSchema.extend({ force: z.boolean() });

export const versionSchema = z.object({ version: runId });

export const recordCycleSchema = cycleReferenceSchema.extend({ outcome: z.string(), reason: z.string() });

export const markSettledSchema = z.object({ mustFinish: z.boolean() });

export const runSchema = z.object({ run: runId });

export const decidePromotionSchema = runSchema.extend({ evaluation: runId, force: z.boolean() });

export const recordTrainingSchema = z.object({
  run: runId,
  outcome: z.object({
    outcome: z.literal('trained'),
    plannedSteps: z.int(),
    executedSteps: z.int(),
    redoneSteps: z.int(),
    launches: z.int(),
    trainLoss: z.number().nullable(),
    heldOutLoss: z.number().nullable(),
    adapterSha256: z.string(),
    adapterBytes: z.int(),
    simulated: z.boolean(),
  }),
});

const reason = z.string().min(1).max(500);
const batch = z.string().refine((name) => batchNameFault(name) === undefined, 'expected the name of a batch');

export const ledgerEditSchema = z.discriminatedUnion('edit', [
  z.object({ edit: z.enum(['retry-batch', 'drop-batch']), batch, reason }),
  z.object({ edit: z.literal('promote'), version: runId, reason }),
  z.object({
    edit: z.literal('rollback'),
    version: runId,
    reason,
    deliverAs: z.iso.datetime().optional(),
  }),
]);

export const localBatchSchema = z.object({
  kind: z.enum(['file', 'database']),
  path: z.string().startsWith('/', 'expected an absolute path'),
  source: z
    .string()
    .regex(/^[\p{L}\p{N}_-]+(\/[\p{L}\p{N}_-]+)?$/u, 'expected <user id>/<client id>')
    .optional(),
  at: z.iso.datetime(),
});
