import { z } from 'zod';

/** What an image must be to enter the dataset; the reasons for the figures are in docs/character-lora.md. */
export const checkThresholdsSchema = z.strictObject({
  /**
   * Standard deviation of the liveliest colour channel, 0–255. A picture below is a plain surface: what a sampler that fell
   * into not-a-number leaves is exactly flat.
   */
  minimumDeviation: z.number().min(0).max(128).default(3),
  /**
   * Bits of 64 in which the perceptual hashes of two images differ at most, if they count as the same picture. Measured: a picture that
   * was compressed, lightened, blurred, halved or covered with noise differs from itself in 0 to 3 bits, two photographs in 13 to 40.
   */
  nearDuplicateBits: z.int().min(0).max(32).default(3),
  /** Whether near-duplicates are rejected. */
  nearDuplicates: z.boolean().default(true),
});

export type CheckThresholds = z.output<typeof checkThresholdsSchema>;
