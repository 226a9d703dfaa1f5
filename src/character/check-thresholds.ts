import { z } from 'zod';

/** What an image must be to enter the data set; the reasons for the figures are in docs/character-lora.md. */
export const check = z.strictObject({
  /**
   * Standard deviation of the liveliest colour channel, 0–255. A picture below is a plain surface: what a sampler that fell
   * into not-a-number leaves is exactly flat.
   */
  minimumDeviation: z.number().min(0).max(128).default(3),
  /** Bits of 64 in which the perceptual hashes of two images differ at most, if they count as the same picture. */
  nearDuplicateBits: z.int().min(0).max(32).default(4),
  /** Whether near-duplicates are rejected. */
  nearDuplicates: z.boolean().default(true),
});

export type CheckThresholds = z.output<typeof check>;
