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

export const proofRecordSchema = z.looseObject({
  loraName: z.string(),
  prompt: z.string(),
  seed: z.int(),
  strength: z.number(),
  withoutLora: z.string(),
  withLora: z.string(),
  meanAbsolute: z.number(),
  changedShare: z.number(),
  simulated: z.boolean().default(false),
});
export type ProofRecord = z.output<typeof proofRecordSchema>;

export const outcomeRecordSchema = z.looseObject({
  outcome: z.enum(['succeeded', 'simulated', 'failed', 'cancelled']),
  reason: z.string(),
  endedAt: z.iso.datetime(),
});
export type OutcomeRecord = z.output<typeof outcomeRecordSchema>;

export const comfyuiRecordSchema = z.looseObject({
  version: z.string(),
  simulated: z.boolean(),
  devices: z.array(z.string()).default([]),
});
export type ComfyuiRecord = z.output<typeof comfyuiRecordSchema>;

export const stageFaultsSchema = z.array(
  z.looseObject({ at: z.iso.datetime(), stage: z.string(), code: z.string(), message: z.string() }),
);
export type StageFaultRecord = z.output<typeof stageFaultsSchema>[number];

export const kohyaRecordSchema = z.looseObject({
  simulated: z.boolean().default(false),
  baseModel: z.string().default('–'),
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
