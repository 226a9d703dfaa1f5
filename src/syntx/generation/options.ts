import { z } from 'zod';

import { productionStyles, productionTopics } from './production-set.js';
import { fillRules } from './queue-fill.js';

const names = z.array(z.string().trim().min(1)).min(1);

const priceSchema = z.strictObject({
  inputPerMillion: z.number().min(0).describe('USD for a million input tokens'),
  outputPerMillion: z.number().min(0).describe('USD for a million output tokens'),
});

/** How prompts are generated. Defaults are those of the original (contract syntx 2.2, 2.5, 2.7). */
export const generationOptionsSchema = z
  .strictObject({
    baseUrl: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('base URL of any OpenAI-compatible API, with its /v1; default: OPENAI_BASE_URL, else OpenAI'),
    model: z.string().min(1).default('gpt-4o').describe('model that writes the prompts'),
    parameters: z
      .record(z.string(), z.json())
      .default({ temperature: 0.7, top_p: 1, max_tokens: 500 })
      .describe('sent with every call, as the endpoint names them'),
    timeoutSeconds: z
      .number()
      .positive()
      .max(86_400)
      .default(45)
      .describe('longest time for one call, answer included'),
    parallelism: z.int().min(1).max(32).default(4).describe('calls at the same time'),
    count: z.int().min(1).max(500).default(20).describe('prompts of one run'),
    fillRule: z
      .enum(fillRules)
      .default('gate')
      .describe('gate: none when more than 24 wait; levels: 20, 15 or 10 by what waits; off: always all'),
    feedbackStrength: z
      .number()
      .min(0)
      .max(1)
      .default(0.8)
      .describe('below 0.5 the model is not told what was learned'),
    styles: names.default([...productionStyles]).describe('styles to write in'),
    topics: z
      .record(z.string().min(1), names)
      .default(Object.fromEntries(Object.entries(productionTopics).map(([name, topics]) => [name, [...topics]])))
      .refine((topics) => Object.keys(topics).length > 0, 'expected at least one category')
      .describe('topics by category'),
    similarityLimit: z
      .number()
      .min(0)
      .max(1)
      .default(0.6)
      .describe(
        'a prompt that shares so much of its word triples with a recent one is made anew; 1 allows all but copies',
      ),
    prices: z
      .record(z.string(), priceSchema)
      .default({ 'gpt-4o': { inputPerMillion: 2.5, outputPerMillion: 10 } })
      .describe('prices by model; of a model without one nobody knows what it costs'),
    costLimit: z.number().positive().optional().describe('USD; a run that has cost so much makes no further call'),
  })
  .refine(({ costLimit, model, prices }) => costLimit === undefined || prices[model] !== undefined, {
    path: ['costLimit'],
    error: ({ input }) =>
      `has no effect without a price in prices for the model ${JSON.stringify((input as { model?: unknown }).model)}`,
  });

export type GenerationOptions = z.output<typeof generationOptionsSchema>;
