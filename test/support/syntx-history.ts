import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { baseName, goodAnswer, incomingMetadata, stages, type StageName } from './syntx-queue.js';

/** Files of one job by their endings; metadata as an object, broken ones as text. */
interface HistoricJob {
  readonly stage: StageName;
  readonly name: string;
  readonly prompt?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly response?: string;
}

const score = {
  total_score: 100,
  field_completeness: 100,
  structure_adherence: 100,
  detail_breakdown: { driftkorper: true, kalibrierung: true, stromung: true },
};

function result(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    ...{ quality_score: score, duration_ms: 36_454, session_id: '519c9a2e', wrapper: 'syntex_system' },
    ...{ worker_id: 'cron_syntex', response_text: goodAnswer, ...changes },
  };
}

function processed(changes: Readonly<Record<string, unknown>>, at: string): Record<string, unknown> {
  return { syntex_result: result(changes), processed_at: at, status: 'success' };
}

const evolutionary = (name: string) => incomingMetadata(name);
const cost = { input_tokens: 60, output_tokens: 300, total_cost: 0.00315, currency: 'USD' };

/** As the queue-aware producer wrote it: the real topic, no language. */
function queueAware(name: string, topic: string): Record<string, unknown> {
  return {
    ...{ topic, style: 'technisch', category: 'technologie', gpt_quality: { total_score: 6 }, gpt_cost: cost },
    ...{ producer_run: '2025-11-25T09:00:00', created_at: '2025-11-25T09:00:00.000001', filename: `${name}.txt` },
  };
}

/** As the multilingual producer wrote it: topic and category swapped. */
function multilingual(name: string): Record<string, unknown> {
  return {
    ...{ topic: 'bildung', style: 'casual', category: 'Physik verstehen', language: 'hu', language_name: 'Magyar' },
    ...{ language_instruction: 'Magyarul', gpt_quality: { total: 8 }, gpt_cost: { ...cost, total_cost: 0.001 } },
    ...{ producer_run: '2025-11-26T09:00:00', multilingual: true, created_at: '2025-11-26T09:00:00.000001' },
    filename: `${name}.txt`,
  };
}

/** Base names of the jobs of {@link writeHistory}. */
export const historic = {
  /** Of November 2025: a slug of the topic, one that was cut at a word. */
  legacy: '20251125_090000_000001__topic_kuenstliche_intelligenz_und___style_technisch',
  multilingual: '20251126_090000_000001__topic_bildung__style_casual',
  withoutMetadata: '20251124_090000_000001__topic_klimawandel__style_technisch',
  waiting: baseName(1, 'technologie', 'akademisch'),
  lateMetadata: baseName(2, 'technologie', 'akademisch'),
  stuck: baseName(3),
  orphanInProcessing: baseName(4),
  /** Answered before 6 December 2025: the prompt is there, the answer in the metadata. */
  early: '20251120_090000_000001__topic_katzen_und_ihre_lebensweise__style_kreativ',
  /** Of the days when the answer was written over the prompt; one was back-filled, one was not. */
  overwritten: '20251208_080248_463038__topic_harmlos__style_casual',
  overwrittenWithoutAnswer: '20251208_080248_463270__topic_bildung__style_casual',
  triplet: baseName(10),
  empty: baseName(11),
  blank: baseName(12),
  otherScorer: baseName(13, 'kritisch'),
  multilingualProcessed: '20251127_090000_000001__topic_bildung__style_casual',
  succeededLater: `${baseName(14)}__retry1`,
  claimedBare: baseName(15, 'bildung', 'kreativ'),
  failed: `${baseName(20)}__retry1`,
  failedTwice: `${baseName(21)}__retry1__retry2`,
  unknownWrapper: `${baseName(22)}__retry1`,
  failedAfterResult: `${baseName(23)}__retry1`,
  archived: baseName(30),
  /** By the learner: its answer stayed behind in `processed`. */
  archivedPair: baseName(31),
  /** By age: the prompt has gone ahead of its metadata. */
  split: baseName(32),
} as const;

const failure = (error: string, count: number) => ({
  ...{ retry_count: count, last_error: { error, duration_ms: 3_600_000, worker_id: 'cron_sigma', wrapper: 'sigma' } },
  ...{ failed_at: '2025-12-20T04:00:00.000001', status: 'error' },
});
const exception = (error: string, type: string) => ({
  ...{ retry_count: 1, last_error: { error, exception_type: type, worker_id: 'cron_sigma' } },
  ...{ failed_at: '2025-12-20T04:00:00.000001', status: 'error' },
});

function jobs(): HistoricJob[] {
  const h = historic;
  const otherScore = {
    ...{ total_score: 64, total_score_float: 0.6431, field_completeness: 100, structure_adherence: 70 },
    detail_breakdown: { driftkorper: true, kalibrierung: true, stromung: true },
    ...{ status: 'OK', format: 'SYNTEX_SYSTEM', coherence: 0.5, semantic_scores: {}, warnings: [] },
  };
  return [
    { stage: 'incoming', name: h.withoutMetadata, prompt: 'Noch ohne Metadaten' },
    {
      stage: 'incoming',
      name: h.legacy,
      prompt: 'Ein alter Prompt',
      metadata: queueAware(h.legacy, 'Künstliche Intelligenz und Ethik'),
    },
    { stage: 'incoming', name: h.multilingual, prompt: 'Egy kérdés', metadata: multilingual(h.multilingual) },
    { stage: 'incoming', name: h.waiting, prompt: 'Ein neuer Prompt', metadata: evolutionary(h.waiting) },
    { stage: 'incoming', name: h.lateMetadata, metadata: evolutionary(h.lateMetadata) },
    { stage: 'processing', name: h.stuck, prompt: 'Hängt fest', metadata: evolutionary(h.stuck) },
    { stage: 'processing', name: h.orphanInProcessing, metadata: evolutionary(h.orphanInProcessing) },

    {
      stage: 'processed',
      name: h.early,
      prompt: 'Der frühe Prompt',
      metadata: {
        ...queueAware(h.early, 'Katzen und ihre Lebensweise'),
        ...processed({ wrapper: 'human' }, '2025-12-05T03:00:00.5'),
      },
    },
    {
      stage: 'processed',
      name: h.overwritten,
      prompt: goodAnswer,
      metadata: { ...evolutionary(h.overwritten), ...processed({}, '2025-12-08T09:00:00.000001') },
    },
    {
      stage: 'processed',
      name: h.overwrittenWithoutAnswer,
      prompt: goodAnswer,
      metadata: {
        ...evolutionary(h.overwrittenWithoutAnswer),
        ...processed({ response_text: undefined }, '2025-12-08T09:05:00'),
      },
    },
    {
      stage: 'processed',
      name: h.triplet,
      prompt: 'Der Prompt',
      metadata: { ...evolutionary(h.triplet), ...processed({}, '2026-01-05T04:01:02.643493') },
      response: goodAnswer,
    },
    {
      stage: 'processed',
      name: h.empty,
      prompt: 'Ohne Antwort',
      metadata: {
        ...evolutionary(h.empty),
        ...processed({ quality_score: null, response_text: '' }, '2026-01-05T04:02:00'),
      },
    },
    {
      stage: 'processed',
      name: h.blank,
      prompt: 'Ohne Text',
      metadata: {
        ...evolutionary(h.blank),
        ...processed({ quality_score: null, response_text: ' \n' }, '2026-01-05T04:03:00'),
      },
      response: ' \n',
    },
    {
      stage: 'processed',
      name: h.otherScorer,
      prompt: 'Anders bewertet',
      metadata: { ...evolutionary(h.otherScorer), ...processed({ quality_score: otherScore }, '2026-01-05T04:04:00') },
      response: goodAnswer,
    },
    {
      stage: 'processed',
      name: h.multilingualProcessed,
      prompt: 'Egy kérdés',
      metadata: { ...multilingual(h.multilingualProcessed), ...processed({}, '2025-12-21T04:00:00') },
      response: goodAnswer,
    },
    {
      stage: 'processed',
      name: h.succeededLater,
      prompt: 'Beim zweiten Mal',
      metadata: {
        ...evolutionary(h.succeededLater.replace('__retry1', '')),
        ...failure('Timeout after 3600s', 1),
        ...processed({}, '2026-01-05T04:05:00'),
      },
      response: goodAnswer,
    },
    {
      stage: 'processed',
      name: h.claimedBare,
      prompt: 'Ohne Metadaten geholt',
      metadata: processed({}, '2026-01-05T04:06:00'),
      response: goodAnswer,
    },

    {
      stage: 'error',
      name: h.failed,
      prompt: 'Gescheitert',
      metadata: { ...evolutionary(baseName(20)), ...failure('HTTPError: Server Error 504', 1) },
    },
    {
      stage: 'error',
      name: h.failedTwice,
      prompt: 'Zweimal gescheitert',
      metadata: { ...evolutionary(baseName(21)), ...failure('Connection failed: refused', 2) },
    },
    {
      stage: 'error',
      name: h.unknownWrapper,
      prompt: 'Wrapper fehlt',
      metadata: { ...evolutionary(baseName(22)), ...exception('Wrapper not found', 'WrapperNotFoundError') },
    },
    {
      stage: 'error',
      name: h.failedAfterResult,
      prompt: 'Nach der Antwort',
      metadata: {
        ...evolutionary(baseName(23)),
        syntex_result: result(),
        ...exception('No such file', 'FileNotFoundError'),
      },
    },

    {
      stage: 'archive',
      name: h.archived,
      prompt: 'Im Archiv',
      metadata: { ...evolutionary(h.archived), ...processed({}, '2026-01-01T04:00:00') },
      response: goodAnswer,
    },
    {
      stage: 'archive',
      name: h.archivedPair,
      prompt: 'Gelernt',
      metadata: { ...evolutionary(h.archivedPair), ...processed({}, '2026-01-02T04:00:00') },
    },
    { stage: 'processed', name: h.archivedPair, response: goodAnswer },
    { stage: 'archive', name: h.split, prompt: 'Geteilt' },
    {
      stage: 'processed',
      name: h.split,
      metadata: { ...evolutionary(h.split), ...processed({}, '2026-01-03T04:00:00') },
      response: goodAnswer,
    },
  ];
}

/**
 * Writes a queue directory as an installation of the original leaves it after some months: every producer's metadata, every way in which
 * a job ended, the drift of what `B.txt` holds, and the orphans of its races (contract syntx 1, 7).
 *
 * @param root the queue directory; its logs go beside it.
 */
export async function writeHistory(root: string): Promise<void> {
  for (const stage of stages) {
    await mkdir(join(root, stage), { recursive: true });
    await writeFile(join(root, stage, '.gitkeep'), '');
  }
  await mkdir(join(root, '.tmp'), { recursive: true });
  await writeFile(join(root, '.tmp', `${baseName(90)}.txt`), 'left over');
  for (const { stage, name, prompt, metadata, response } of jobs()) {
    const path = (ending: string) => join(root, stage, `${name}${ending}`);
    if (prompt !== undefined) await writeFile(path('.txt'), prompt);
    if (metadata !== undefined) await writeFile(path('.json'), JSON.stringify(metadata, null, 2));
    if (response !== undefined) await writeFile(path('_response.txt'), response);
  }
  const logs = join(root, '..', 'logs');
  await mkdir(logs, { recursive: true });
  const learned = {
    sample_count: 5,
    avg_score: 100,
    avg_field_completeness: 100,
    top_categories: ['harmlos'],
    top_styles: ['casual'],
  };
  const line = (generation: number) =>
    JSON.stringify({
      timestamp: '2026-01-05T02:03:00.5',
      generation,
      learned_from: learned,
      prompts_generated: 20,
      feedback_strength: 0.8,
    });
  // Rotated yesterday at generation 7; begun anew since.
  await writeFile(join(logs, 'evolution.20260104.jsonl'), `${line(6)}\n${line(7)}\n`);
  await writeFile(join(logs, 'evolution.jsonl'), `${line(1)}\n${line(2)}\n`);
  await writeFile(
    join(logs, 'queue_status_hourly.log'),
    '2026-01-05 03:00 | Incoming: 12 | Processed: 85 | Error: 5 | Archive: 45\n',
  );
}
