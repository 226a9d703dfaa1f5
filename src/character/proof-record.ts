import { z } from 'zod';

/** `proof.json` of a run: how the pictures with and without its LoRA differ. What an older Tower wrote without, has a default. */
export const proofRecordSchema = z.looseObject({
  /** As ComfyUI lists it. */
  loraName: z.string(),
  prompt: z.string(),
  seed: z.int(),
  strength: z.number(),
  /** Paths of the two pictures. */
  withoutLora: z.string(),
  withLora: z.string(),
  /** Mean absolute difference of the colour values, 0 to 255. */
  meanAbsolute: z.number(),
  /** Share of pixels that differ, 0 to 1. */
  changedShare: z.number(),
  /** An older Tower did not say. */
  simulated: z.boolean().optional(),
});
export type ProofFile = z.output<typeof proofRecordSchema>;
