import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { TowerError } from '../../errors.js';
import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import { sha256Of } from '../../files/sha256.js';
import { writeNew } from './add.js';
import { baseNameOf, byName, isPromptFile, jobIdOf, newBaseName, partsOf } from './job-name.js';
import { localTimestamp } from './local-time.js';
import { metadataText, withOwnKeys, type Metadata } from './metadata.js';
import { nameHolder, type FailedNames, type NameHolder } from './name-holder.js';
import { plainFileFault, readPlainText } from './plain-file.js';
import { QueuePaths, stages, type Place } from './queue-paths.js';
import type { QueueStore } from './queue-store.js';
import { readJobFiles } from './read-job.js';
import { writeStaged } from './staged-write.js';

export interface ImportOptions {
  /** For prompts that come as bare text files. */
  readonly category?: string;
  readonly style?: string;
}

export interface Imported {
  readonly imported: readonly { readonly baseName: string; readonly place: Place }[];
  readonly skipped: readonly { readonly file: string; readonly reason: string }[];
}

/**
 * Copies jobs from another folder: a whole queue directory, stage for stage (what is being processed there waits here), or a
 * folder of prompts, which become waiting jobs. Nothing there is changed, nothing here is replaced, and importing again adds
 * nothing.
 *
 * @throws TowerError `IMPORT_SOURCE_MISSING`, `QUEUE_MISSING`
 */
export async function importJobs(store: QueueStore, source: string, options: ImportOptions = {}): Promise<Imported> {
  const found = await stat(source).catch(undefinedIfAbsent);
  if (found?.isDirectory() !== true) {
    throw new TowerError('IMPORT_SOURCE_MISSING', `there is no folder at ${source}`, {
      next: 'Name a SYNTX queue directory, or a folder with prompts in .txt files.',
    });
  }
  // Also where there is nothing to import: that must not look like a success where there is no queue to import into. Listed once:
  // a job that has failed stays a job of the queue wherever others move it meanwhile.
  const failed = new Map(await store.change(() => store.failedNames()));
  const imported: { baseName: string; place: Place }[] = [];
  const skipped: { file: string; reason: string }[] = [];
  const from = new QueuePaths(source);
  const isQueue = (await namesIn(source)).includes('incoming');
  try {
    for (const place of isQueue ? stages : (['incoming'] as const)) {
      const directory = isQueue ? from.directory(place) : source;
      for (const name of (await namesIn(directory)).filter(isPromptFile).sort(byName)) {
        const target = place === 'processing' ? 'incoming' : place;
        const one = { directory, baseName: baseNameOf(name), place: target, options, failed };
        const result = await store.change(() => importOne(store, one));
        if ('reason' in result) {
          skipped.push({ file: join(directory, name), reason: result.reason });
          continue;
        }
        imported.push(result);
        if (target === 'error') failed.set(jobIdOf(result.baseName), result.baseName);
      }
    }
  } finally {
    // Imported jobs may be older than those that wait here.
    if (imported.some(({ place }) => place === 'incoming')) await store.change(() => store.markReturned());
  }
  return { imported, skipped };
}

interface OneImport {
  readonly directory: string;
  readonly baseName: string;
  readonly place: Place;
  readonly options: ImportOptions;
  readonly failed: FailedNames;
}

type ImportResult = { readonly baseName: string; readonly place: Place } | { readonly reason: string };

async function importOne(store: QueueStore, one: OneImport): Promise<ImportResult> {
  const { place, directory } = one;
  const source = (ending: string) => join(directory, `${one.baseName}${ending}`);
  const files = await readJobFiles(source('.txt'), source('.json'));
  if (files.state !== 'read') return { reason: files.state === 'broken' ? files.fault : 'it is gone' };
  const unfit = await plainFileFault(source('_response.txt'), 'the answer is');
  if (unfit !== undefined) return { reason: unfit };
  const named = await nameHere(store, one, files);
  if ('reason' in named) return named;
  const { baseName, metadata } = named;
  if (place === 'incoming') {
    await writeNew(store, baseName, { prompt: files.prompt, metadata });
    return { baseName, place };
  }
  const { paths } = store;
  const spot = { place, baseName };
  const answer = await readPlainText(source('_response.txt'));
  if (answer !== undefined) await writeStaged(paths.staging, paths.response(spot), answer);
  await writeStaged(paths.staging, paths.prompt(spot), files.prompt);
  // Last: with its metadata the job is whole.
  await writeStaged(paths.staging, paths.metadata(spot), metadataText(metadata));
  await store.sync(paths.directory(place));
  return { baseName, place };
}

/** Jobs keep their names; a bare text gets one of its own from the time of its file and its content. */
async function nameHere(
  store: QueueStore,
  { directory, baseName, options, failed }: OneImport,
  { prompt, metadata }: { readonly prompt: string; readonly metadata: Metadata },
): Promise<{ readonly baseName: string; readonly metadata: Metadata } | { readonly reason: string }> {
  const { category, style } = options;
  const isBare = Object.keys(metadata).length === 0 && partsOf(baseName) === undefined;
  if (!isBare) {
    const holder = await jobHolder(store, baseName, failed);
    const isFree = holder === undefined || (await isHalfImported(store, holder, prompt));
    return isFree ? { baseName, metadata } : { reason: 'a job of this name is here' };
  }
  if (category === undefined || style === undefined) return { reason: 'a bare prompt needs a category and a style' };

  const sha256 = sha256Of(prompt);
  const { mtime } = await stat(join(directory, `${baseName}.txt`));
  const first = Number.parseInt(sha256.slice(0, 6), 16) % 1000;
  for (let sequence = first; ; sequence += 1000) {
    const name = newBaseName({ category, style }, mtime, sequence, store.timeZone);
    const holder = await jobHolder(store, name, failed);
    const isOwn = holder?.own['imported_sha256'] === sha256;
    if (isOwn && holder.hasPrompt) return { reason: 'it has been imported before' };
    if (holder !== undefined && !isOwn) continue;
    const createdAt = localTimestamp(store.now(), store.timeZone);
    const described = { topic: category, style, language: 'de', category, producer_run: createdAt };
    const own = { imported_sha256: sha256, imported_from: baseName };
    return {
      baseName: name,
      metadata: withOwnKeys({ ...described, created_at: createdAt, filename: `${name}.txt` }, own),
    };
  }
}

/** Who has the name, or is the same job under the name with which it was made; this import may have brought it. */
async function jobHolder(store: QueueStore, baseName: string, failed: FailedNames): Promise<NameHolder | undefined> {
  const id = jobIdOf(baseName);
  const holder = await nameHolder(store.paths, baseName, failed);
  return holder ?? (id === baseName ? undefined : nameHolder(store.paths, id, failed));
}

/** An earlier import ended before the job's metadata, which comes last, or before its prompt, which comes last in `incoming`. */
async function isHalfImported(store: QueueStore, holder: NameHolder, prompt: string): Promise<boolean> {
  if (holder.hasMetadata) return false;
  const here = await readPlainText(store.paths.prompt(holder.spot));
  return here === prompt;
}
