import { z } from 'zod';

const learnedFromSchema = z.object({
  sampleCount: z.number(),
  averageScore: z.number(),
  averageFieldCompleteness: z.number(),
  topCategories: z.array(z.string()),
  topStyles: z.array(z.string()),
});

const promptSchema = z.object({
  style: z.string(),
  category: z.string(),
  topic: z.string(),
  reason: z.object({ kind: z.enum(['random', 'sampled', 'coverage', 'pattern']), text: z.string() }),
  /** Base name of the job in the queue; `null` when the prompt was not made. */
  job: z.string().nullable(),
  /** Why it was not made. */
  error: z.string().nullable(),
});

const recordedAt = {
  /** ISO 8601 UTC: when the line was written; missing in lines of older versions. */
  recordedAt: z.string().optional(),
};

/** What one run of the producer has done: a line of `generations.jsonl`, Tower's own log, which no rotation touches. */
export const generationRecordSchema = z.object({
  version: z.literal(1),
  /** Names the run: it is recorded once. */
  run: z.string().min(1),
  /** ISO 8601 UTC: its logical time. */
  at: z.string(),
  ...recordedAt,
  generation: z.int().positive(),
  policy: z.enum(['thompson', 'patterns', 'uniform']),
  seed: z.string(),
  /** `null`: nothing could be learned, the run explored. */
  learnedFrom: learnedFromSchema.nullable(),
  feedbackStrength: z.number(),
  /** Model that was asked, and whether it says that it is simulated. */
  model: z.string(),
  simulated: z.boolean(),
  prompts: z.array(promptSchema),
  /** USD; 0 without a price. */
  paid: z.number(),
  /** Whether a price is set for the model; missing in lines of older versions. */
  priced: z.boolean().optional(),
});

export type GenerationRecord = z.output<typeof generationRecordSchema>;

/** A run that ended without recording a generation: a line of `failed-runs.jsonl`, beside the other. */
export const failedRunSchema = z.object({
  version: z.literal(1),
  run: z.string().min(1),
  /** ISO 8601 UTC: its logical time. */
  at: z.string(),
  ...recordedAt,
  reason: z.string(),
});

export type FailedRun = z.output<typeof failedRunSchema>;

/** A line of `evolution.jsonl` (contract syntx 2.6); Tower's own key comes last. */
export const evolutionLineSchema = z.looseObject({
  timestamp: z.string(),
  generation: z.int().positive(),
  learned_from: z.looseObject({
    sample_count: z.number(),
    avg_score: z.number(),
    avg_field_completeness: z.number().catch(0),
    top_categories: z.array(z.string()).catch([]),
    top_styles: z.array(z.string()).catch([]),
  }),
  prompts_generated: z.number(),
  feedback_strength: z.number().catch(0),
  tower: z.looseObject({ run: z.string() }).optional().catch(undefined),
});

export type EvolutionLine = z.output<typeof evolutionLineSchema>;

/** @param timestamp - Local time without a zone. */
export function evolutionLine(record: GenerationRecord & { learnedFrom: object }, timestamp: string): string {
  const { sampleCount, averageScore, averageFieldCompleteness, topCategories, topStyles } = record.learnedFrom;
  return JSON.stringify({
    ...{ timestamp, generation: record.generation },
    learned_from: {
      ...{ sample_count: sampleCount, avg_score: averageScore, avg_field_completeness: averageFieldCompleteness },
      ...{ top_categories: topCategories.slice(0, 3), top_styles: topStyles.slice(0, 3) },
    },
    prompts_generated: record.prompts.filter(({ job }) => job !== null).length,
    feedback_strength: record.feedbackStrength,
    tower: { run: record.run },
  });
}
