import { z } from 'zod';

import type { JobFacts } from './job-facts.js';

/** What the metadata of a scored job teach. */
export const lessonSchema = z.object({
  style: z.string(),
  category: z.string(),
  wrapper: z.string(),
  /** 0 to 100. */
  score: z.number().min(0).max(100),
  /** Milliseconds since 1970. */
  scoredAt: z.number(),
  fieldCompleteness: z.number().nullable(),
  structureAdherence: z.number().nullable(),
  scorer: z.enum(['v1', 'v2']),
  topic: z.string().nullable(),
  durationMs: z.number().nullable(),
  /** The service that answered said that it is simulated. */
  simulated: z.boolean(),
});

export type Lesson = Readonly<z.infer<typeof lessonSchema>>;

/** A job with a score: what the learner learns from. */
export interface ScoredJobRecord extends Lesson {
  /** The job, whatever became of its name. */
  readonly id: string;
  /** Name of its files now. */
  readonly baseName: string;
  readonly place: 'processed' | 'error' | 'archive';
}

/** @returns `null` when a job teaches nothing: without a style, a category or a score, or with a fault since its score. */
export function lessonOf(facts: JobFacts): Lesson | null {
  const { style, category, score, topic, durationMs, unanswered, simulated } = facts;
  const scoredAt = facts.settledAt ?? facts.createdAt;
  if (unanswered || style === null || category === null || score === null || scoredAt === null) return null;
  // Off the scale of every scorer: nothing that may be averaged.
  if (score.total < 0 || score.total > 100) return null;
  return {
    ...{ style, category, wrapper: facts.wrapper ?? 'unknown', score: score.total, scoredAt },
    ...{ fieldCompleteness: score.completeness, structureAdherence: score.structure, scorer: score.version },
    ...{ topic, durationMs, simulated },
  };
}
