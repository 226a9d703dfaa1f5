import { z } from 'zod';

import { runReferenceSchema, runSchema } from '../inputs.js';

export const jobReferenceSchema = z.object({ job: z.unknown().optional(), run: runSchema.shape.run.optional() });

export const prepareInputSchema = jobReferenceSchema.extend({ owner: z.string().min(1).max(200) });

export const gpuReferenceSchema = runReferenceSchema.pick({ run: true, gpuIndex: true });

/** The decision itself is checked against the images that there are, where it is applied. */
export const reviewInputSchema = runSchema.extend({
  decision: z.object({
    approve: z.boolean(),
    reject: z.array(z.object({ index: z.int().min(1), reason: z.string().optional() })).optional(),
    captions: z.array(z.object({ index: z.int().min(1), caption: z.string() })).optional(),
    by: z.string().optional(),
  }),
});

export const endInputSchema = runSchema.extend({
  outcome: z.enum(['succeeded', 'simulated', 'failed', 'cancelled']),
  reason: z.string(),
});

export const slotRequestSchema = z.object({
  workflowId: z.string().min(1),
  number: z.int().min(1),
  max: z.int().min(1),
  level: z.enum(['urgent', 'high', 'normal', 'low']).optional(),
});

export const slotReleaseSchema = slotRequestSchema.pick({ workflowId: true });

export const waitingReasonsSchema = z.object({ workflowId: z.string().min(1) });

export const workflowIdsSchema = z.object({ workflowIds: z.array(z.string().min(1)) });
