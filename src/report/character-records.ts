import { z } from 'zod';

/** Records in the folder of a character run, as far as its report shows them. What an older Tower wrote without, is missing. */

export const choiceRecordSchema = z.looseObject({
  epoch: z.int(),
  sha256: z.string(),
  method: z.string(),
  reason: z.string(),
  noise: z.number().nullable().default(null),
  epochs: z
    .array(
      z.object({
        epoch: z.int(),
        trainLoss: z.number().nullable(),
        heldOutLoss: z.number().nullable(),
        score: z.number().nullable(),
        samples: z.array(z.string()),
        eligible: z.boolean(),
      }),
    )
    .default([]),
});
export type ChoiceRecord = z.output<typeof choiceRecordSchema>;

export const outcomeRecordSchema = z.looseObject({
  outcome: z.enum(['succeeded', 'simulated', 'failed', 'cancelled']),
  reason: z.string(),
  endedAt: z.iso.datetime(),
});
export type OutcomeRecord = z.output<typeof outcomeRecordSchema>;

export const kohyaRecordSchema = z.looseObject({
  simulated: z.boolean().default(false),
  sdScripts: z.looseObject({ version: z.string().nullish(), commit: z.string().nullish() }).optional(),
  outputName: z.string().default(''),
  epochs: z.int(),
  images: z.int().optional(),
  samples: z.int().default(0),
  heldOut: z
    .looseObject({
      available: z.boolean(),
      images: z.int().optional(),
      of: z.int().optional(),
      reason: z.string().optional(),
    })
    .optional(),
});
export type KohyaRecord = z.output<typeof kohyaRecordSchema>;
