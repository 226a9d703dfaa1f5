import { z } from 'zod';

import { kohyaOptionsSchema, type KohyaOptionsInput } from '../kohya/options.js';

/** Options of the trainer by their sd-scripts names; what is missing comes from the images and from the defaults. */
export type KohyaSection = Partial<KohyaOptionsInput>;

/** Takes the place of the base model where the job leaves it to the checkpoint. */
const anyModel = 'model';

/** Checks a job's `kohya` section as the trainer's driver will; it stays as it was written. */
export const kohyaSectionSchema = z.record(z.string(), z.unknown()).transform((section, context): KohyaSection => {
  const options = kohyaOptionsSchema.safeParse({ pretrained_model_name_or_path: anyModel, ...section });
  for (const { path, message } of options.error?.issues ?? []) {
    context.addIssue({ code: 'custom', path: [...path], message });
  }
  return section;
});
