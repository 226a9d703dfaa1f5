import { z } from 'zod';

const logicalTime = z.iso.datetime();
const run = z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/, 'expected a run id');
const consumer = z.object({
  run: z.string().min(1).max(300),
  wrapper: z.string().regex(/^[\p{L}\p{N}_-]{1,100}$/u, 'expected the name of a wrapper'),
  sessionId: z.string().length(8),
  workflowId: z.string().min(1),
  runId: z.string().min(1),
});
const job = z.object({ baseName: z.string().min(1), token: z.string().min(1) });
const batch = z.int().min(1).max(500);

export const productionRequestSchema = z.object({ logicalTime, count: batch.optional(), force: z.boolean() });
export const productionSchema = z.object({ run });
export const drawSchema = productionSchema.extend({ make: batch, logicalTime });
export const noProductionSchema = productionSchema.extend({ reason: z.string(), logicalTime: logicalTime.optional() });
export const openConsumerSchema = z.object({ consumer, batch: batch.optional() });
export const claimSchema = z.object({ consumer, claim: z.int().nonnegative() });
export const calibrationSchema = z.object({ consumer, job, gpuIndex: z.int().nonnegative().nullable() });
export const consumerJobSchema = z.object({ consumer, job });
export const jobSchema = z.object({ job });
export const closeConsumerSchema = z.object({
  consumer,
  counts: z.object({ processed: z.int().nonnegative(), failed: z.int().nonnegative() }),
});
export const observeSchema = z.object({ logicalTime });
export const cleanSchema = z.object({ run: z.string().min(1), dryRun: z.boolean() });
