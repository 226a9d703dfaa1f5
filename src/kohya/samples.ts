import { z } from 'zod';

import type { BaseModelKind } from './base-model.js';

/** Pixels of a side of a sample. */
export const largestSampleSide = 4096;

/** One picture that the trainer draws after each epoch, always with the same seed, so that epochs can be compared. */
export const kohyaSampleSchema = z.strictObject({
  prompt: z
    .string()
    .trim()
    .min(1)
    .refine((prompt) => !/[\r\n]/.test(prompt), 'expected one line'),
  negative: z
    .string()
    .trim()
    .refine((prompt) => !/[\r\n]/.test(prompt), 'expected one line')
    .optional(),
  /** Pixels; sd-scripts cuts them to multiples of 8. */
  width: z.int().min(64).max(largestSampleSide).default(512),
  height: z.int().min(64).max(largestSampleSide).default(512),
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(42),
  steps: z.int().min(1).max(1000).default(20),
  /** Guidance; default by base model. */
  scale: z.number().min(0).max(100).optional(),
});

export type KohyaSample = z.output<typeof kohyaSampleSchema>;

/**
 * The file for `--sample_prompts`, as JSON: there a prompt may hold two dashes, or begin with the comment sign of the text form.
 * Keys are those into which sd-scripts turns the flags of a text line.
 */
export function samplePromptsFile(samples: readonly KohyaSample[], baseModelKind: BaseModelKind): string {
  const prompts = samples.map(({ prompt, negative, width, height, seed, steps, scale }) => ({
    prompt,
    ...(negative !== undefined && { negative_prompt: negative }),
    width,
    height,
    seed,
    sample_steps: steps,
    // FLUX is guided by a number that it was trained with; the classic scale stays 1 there.
    ...(baseModelKind === 'flux' ? { guidance_scale: scale ?? 3.5, scale: 1 } : { scale: scale ?? 7.5 }),
  }));
  return `${JSON.stringify(prompts, null, 2)}\n`;
}
