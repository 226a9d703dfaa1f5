import { z } from 'zod';

/** Names under which the evaluator is given its models, in this order. */
export const modelNames = { base: 'base', candidate: 'candidate', champion: 'champion' } as const;
export type ModelName = keyof typeof modelNames;

const lossesSchema = z.object({
  name: z.enum(modelNames),
  /** Adapter folder; `null`: the base model alone. */
  path: z.string().nullable(),
  /** Mean per token, in nats; `null`: not a number. */
  meanLoss: z.number().nullable(),
  /** Of every sample, in the order of the file: loss summed over its tokens (`null`: not a number), and their number. */
  samples: z.array(z.tuple([z.number().nullable(), z.int().positive()])),
});

/** What `trainers/qlora/evaluate.py` and its simulated twin write. */
export const evaluationResultSchema = z
  .object({
    version: z.literal(1),
    simulated: z.boolean(),
    baseModel: z.string(),
    device: z.string(),
    /** Evaluated samples: those of the file that have a token to predict. */
    samples: z.int().positive(),
    /** Samples that were longer than `maxLength` tokens. */
    cutSamples: z.int().nonnegative(),
    adapters: z.array(lossesSchema).min(2),
    /** Of the held-out file that was read, lower-case hex. */
    heldOutSha256: z.string(),
  })
  .refine(({ samples, adapters }) => adapters.every((model) => model.samples.length === samples), {
    error: 'expected as many losses for each model as there are samples',
  })
  .refine(
    ({ adapters: [first, ...others] }) =>
      others.every((model) => model.samples.every(([, tokens], index) => tokens === first?.samples[index]?.[1])),
    { error: 'expected the same number of tokens in a sample for each model' },
  );

export type EvaluationResult = z.output<typeof evaluationResultSchema>;
