import { basename } from 'node:path';

import { namesIn } from '../../files/absent.js';
import { jobFacts } from './job-facts.js';
import { baseNameOf, byName, isPromptFile } from './job-name.js';
import { isRecord, readMetadata, withoutResult, type Metadata } from './metadata.js';
import { isThere, moveJob } from './move.js';
import { isOverwritten } from './overwritten-prompt.js';
import { plainFileFault, readPlainText } from './plain-file.js';
import type { Place, Spot } from './queue-paths.js';
import type { QueueStore } from './queue-store.js';

export interface Requeued {
  readonly requeued: readonly string[];
  readonly skipped: readonly { readonly baseName: string; readonly reason: string }[];
}

/** Why {@link retryFailed} leaves a job that is in `error` for its score. */
export const keptForScore = 'it was scored; --scored retries it all the same';

/**
 * Puts failed jobs back into `incoming` under their names, as the original's script does: all, or those whose name contains
 * a text. Jobs that are in `error` for their score stay there unless `scored` is given.
 */
export async function retryFailed(
  store: QueueStore,
  { containing = '', scored = false }: { readonly containing?: string; readonly scored?: boolean } = {},
): Promise<Requeued> {
  const names = await store.change(() => namesIn(store.paths.directory('error')));
  const baseNames = names.filter(isPromptFile).map(baseNameOf);
  return putBack(store, baseNames.filter((name) => name.includes(containing)).sort(byName), {
    places: ['error'],
    skipLowScores: !scored,
  });
}

/** Puts jobs back into `incoming`, whatever became of them; named by base name, or by any of their files with or without its path. */
export async function requeueJobs(store: QueueStore, jobs: readonly string[]): Promise<Requeued> {
  // A shell's pattern names every file of a job.
  const baseNames = new Set(jobs.map((job) => baseNameOf(basename(job))));
  return putBack(store, [...baseNames], {
    places: ['error', 'processed', 'archive', 'broken'],
    skipLowScores: false,
  });
}

interface PutBackOptions {
  readonly places: readonly Place[];
  readonly skipLowScores: boolean;
}

async function putBack(store: QueueStore, baseNames: readonly string[], options: PutBackOptions): Promise<Requeued> {
  const requeued: string[] = [];
  const skipped: { baseName: string; reason: string }[] = [];
  for (const baseName of baseNames) {
    const reason = await store.change(() => putBackOne(store, baseName, options));
    if (reason === undefined) requeued.push(baseName);
    else skipped.push({ baseName, reason });
  }
  return { requeued, skipped };
}

/** @returns why it was not put back. */
async function putBackOne(
  store: QueueStore,
  baseName: string,
  { places, skipLowScores }: PutBackOptions,
): Promise<string | undefined> {
  const { paths } = store;
  const from = await spotOf(store, baseName, places);
  if (from === undefined) return whyNot(store, baseName, places);
  const unfit = await plainFileFault(paths.prompt(from), 'the prompt is');
  if (unfit !== undefined) return unfit;
  const found = await readMetadata(paths.metadata(from));
  if (found.state !== 'read') return found.state === 'broken' ? found.fault : 'it has no metadata';
  if (skipLowScores && jobFacts(baseName, found.metadata).lowScore) return keptForScore;
  for (const place of ['incoming', 'processing'] as const) {
    if (await isThere(paths.prompt({ place, baseName }))) return `a job of this name is in ${place}`;
  }
  const text = (await readPlainText(paths.prompt(from))) ?? '';
  if (isOverwritten(found.metadata, { text, hasAnswerFile: await isThere(paths.response(from)) })) {
    return 'its prompt is lost: the original wrote the answer over it';
  }
  const metadata = withoutResult(await withAnswer(store, from, found.metadata));
  const unchanged = metadata === found.metadata;
  const to = { place: 'incoming', baseName } as const;
  // Who puts it back wants another answer than one that an earlier claim may have left.
  await moveJob(paths, { from, to, endsAnswer: true, ...(!unchanged && { metadata, response: '' }) });
  await store.markReturned();
  return undefined;
}

/** Why a job is in none of the places from which it could be put back. */
async function whyNot(store: QueueStore, baseName: string, places: readonly Place[]): Promise<string> {
  const at = await spotOf(store, baseName, ['incoming', 'processing']);
  if (at === undefined) return `no such job in ${places.join(', ')}`;
  return at.place === 'incoming' ? 'it waits in incoming already' : 'it is being worked on in processing';
}

async function spotOf({ paths }: QueueStore, baseName: string, places: readonly Place[]): Promise<Spot | undefined> {
  for (const place of places) if (await isThere(paths.prompt({ place, baseName }))) return { place, baseName };
  return undefined;
}

/** The answer in a file of its own goes into the metadata, where data of before December 2025 lacks it. */
async function withAnswer({ paths }: QueueStore, spot: Spot, metadata: Metadata): Promise<Metadata> {
  const answer = await readPlainText(paths.response(spot));
  const result = metadata['syntex_result'];
  if (answer === undefined || !isRecord(result) || typeof result['response_text'] === 'string') return metadata;
  return { ...metadata, syntex_result: { ...result, response_text: answer } };
}
