import { z } from 'zod';

import { jobIdOf, partsOf } from './job-name.js';
import { instantOf } from './local-time.js';
import { ownKeys, type Metadata } from './metadata.js';

const text = z.string().optional().catch(undefined);
const finite = z.number().optional().catch(undefined);

/** What Tower reads of a job's metadata; whatever a producer left out, or wrote otherwise, is `undefined`. */
const metadataSchema = z.object({
  ...{ topic: text, style: text, language: text, category: text, model: text },
  multilingual: z.boolean().optional().catch(undefined),
  ...{ created_at: text, producer_run: text, processed_at: text, failed_at: text, status: text },
  retry_count: finite,
  last_error: z.object({ error: text, exception_type: text, wrapper: text }).optional().catch(undefined),
  syntex_result: z
    .object({
      quality_score: z
        .object({
          ...{ total_score: finite, field_completeness: finite, structure_adherence: finite },
          total_score_float: finite,
          detail_breakdown: z.record(z.string(), z.unknown()).optional().catch(undefined),
        })
        .nullish()
        .catch(undefined),
      ...{ duration_ms: finite, wrapper: text, worker_id: text, response_text: text },
    })
    .optional()
    .catch(undefined),
});

/** A score as it was written; `v2` is the original's opt-in scorer, whose scale differs (contract syntx 3.6). */
export interface WrittenScore {
  readonly total: number;
  readonly completeness: number | null;
  readonly structure: number | null;
  readonly fields: Readonly<Record<string, boolean>>;
  readonly version: 'v1' | 'v2';
}

/** What a job is and what became of it, whichever producer and consumer wrote it (contract syntx 1.3). */
export interface JobFacts {
  /** Base name without the suffixes of failures: one job, one id. */
  readonly id: string;
  /** The real topic, where anything says it. */
  readonly topic: string | null;
  readonly category: string | null;
  readonly style: string | null;
  readonly language: string | null;
  /** Milliseconds since 1970. */
  readonly createdAt: number | null;
  /** When it was scored or failed. */
  readonly settledAt: number | null;
  readonly retryCount: number;
  readonly wrapper: string | null;
  readonly score: WrittenScore | null;
  readonly durationMs: number | null;
  readonly response: string | null;
  /** `last_error.error` of the last failure; also there when a later try succeeded. */
  readonly error: string | null;
  /** It is in `error` for its score and for nothing else. */
  readonly lowScore: boolean;
  /** Its last try got no answer: a score that stands in its metadata is one of an earlier try (contract syntx 1.3). */
  readonly unanswered: boolean;
  /** The service that answered it said that it is simulated. */
  readonly simulated: boolean;
  /** The endpoint that wrote the prompt said that it is simulated. */
  readonly promptSimulated: boolean;
}

const lowScorePattern = /^score \d+ < \d+(\.\d+)?$/;

/** The reason that stands in `last_error.error` of a job whose score did not reach the threshold. */
export function lowScoreReason(score: number, threshold: number): string {
  return `score ${score} < ${threshold}`;
}

/** @param timeZone of the times without a zone. */
export function jobFacts(baseName: string, metadata: Metadata, timeZone?: string): JobFacts {
  const read = metadataSchema.parse(metadata);
  const { last_error: failure, syntex_result: result } = read;
  const name = partsOf(baseName);
  const score = result?.quality_score;
  const at = (value: string | undefined) => instantOf(value, timeZone) ?? null;
  const lowScore = read.status === 'error' && lowScorePattern.test(failure?.error ?? '');
  const [processedAt, failedAt] = [at(read.processed_at), at(read.failed_at)];
  return {
    id: jobIdOf(baseName),
    ...subjectOf(read, metadata, name?.subject),
    style: read.style ?? name?.style ?? null,
    language: read.language ?? null,
    createdAt: at(read.created_at) ?? at(read.producer_run) ?? at(name?.createdAt),
    settledAt: read.status === 'error' ? (failedAt ?? processedAt) : (processedAt ?? failedAt),
    retryCount: read.retry_count ?? 0,
    wrapper: result?.wrapper ?? failure?.wrapper ?? null,
    score:
      score?.total_score === undefined
        ? null
        : {
            total: score.total_score,
            completeness: score.field_completeness ?? null,
            structure: score.structure_adherence ?? null,
            fields: Object.fromEntries(
              Object.entries(score.detail_breakdown ?? {}).map(([field, found]) => [field, found === true]),
            ),
            version: score.total_score_float === undefined ? 'v1' : 'v2',
          },
    durationMs: result?.duration_ms ?? null,
    response: result?.response_text ?? null,
    error: failure?.error ?? null,
    lowScore,
    simulated: ownKeys(metadata)['simulated'] === true,
    promptSimulated: ownKeys(metadata)['prompt_simulated'] === true,
    // An exception of the original may come after the answer; its handled failures never do.
    unanswered: read.status === 'error' && !lowScore && failure !== undefined && failure.exception_type === undefined,
  };
}

/**
 * Topic and category by producer: the evolutionary one writes the category into both keys, the multilingual one swaps them, the
 * queue-aware one writes what they say. Tower keeps the real topic under its own key.
 */
function subjectOf(
  { topic, category, multilingual }: z.output<typeof metadataSchema>,
  metadata: Metadata,
  nameSubject: string | undefined,
): Pick<JobFacts, 'topic' | 'category'> {
  const own = ownKeys(metadata)['topic'];
  if (multilingual === true) return { topic: category ?? null, category: topic ?? null };
  if (category === undefined) return { topic: topic ?? null, category: nameSubject ?? null };
  const said = topic === category ? undefined : topic;
  return { topic: typeof own === 'string' ? own : (said ?? null), category };
}
