import { lstat, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import { baseNameOf, byName, isMetadataFile, isPromptFile } from './job-name.js';
import { freeSpot, isThere, moveJob } from './move.js';
import { stages, type Spot } from './queue-paths.js';
import type { QueueStore } from './queue-store.js';

export interface TidyOptions {
  readonly olderThanMs: number;
  /** Finds, and changes nothing. */
  readonly dryRun: boolean;
  /** Paths that an earlier look has found; all others are left alone. */
  readonly only?: ReadonlySet<string> | undefined;
  /** Ends the work between two files. */
  readonly signal?: AbortSignal;
}

/** Whether a path is looked at. @throws the reason of the signal */
export function isMeant(path: string, { only, signal }: TidyOptions): boolean {
  signal?.throwIfAborted();
  return only?.has(path) !== false;
}

/** A file that was removed or moved, or would be. */
export interface Tidied {
  readonly path: string;
  readonly ageMs: number;
  /** New path of a file that was moved; without it the file was deleted. */
  readonly movedTo?: string;
}

/** Deletes what writers have left behind in `.tmp`. */
export async function removeTemporary(store: QueueStore, options: TidyOptions): Promise<Tidied[]> {
  const { paths } = store;
  return store.look(async () => {
    const removed: Tidied[] = [];
    for (const name of (await namesIn(paths.staging)).sort(byName)) {
      const path = join(paths.staging, name);
      if (!isMeant(path, options)) continue;
      const ageMs = await ageOf(store, path);
      if (ageMs === undefined || ageMs <= options.olderThanMs || name === '.gitkeep') continue;
      if (!options.dryRun) await rm(path, { force: true });
      removed.push({ path, ageMs });
    }
    return removed;
  });
}

/**
 * Sets prompts without metadata aside in `.broken`: those that nobody holds and whose metadata is in no other stage either, where
 * the original's age-based archiving may have put it (contract syntx 4.2). The archive is not touched.
 */
export async function setAsideBroken(store: QueueStore, options: TidyOptions): Promise<Tidied[]> {
  const { paths } = store;
  const moved: Tidied[] = [];
  for (const place of ['incoming', 'processing', 'processed', 'error'] as const) {
    const names = await store.look(() => namesIn(paths.directory(place)));
    const described = new Set(names.filter(isMetadataFile).map(baseNameOf));
    const bare = names
      .filter(isPromptFile)
      .map(baseNameOf)
      .filter((baseName) => !described.has(baseName));
    for (const baseName of bare.sort(byName)) {
      if (!isMeant(paths.prompt({ place, baseName }), options)) continue;
      const tidied = await store.change(() => setAside(store, { place, baseName }, options));
      if (tidied !== undefined) moved.push(tidied);
    }
  }
  return moved;
}

async function setAside(store: QueueStore, from: Spot, options: TidyOptions): Promise<Tidied | undefined> {
  const { paths } = store;
  const ageMs = await ageOf(store, paths.prompt(from));
  if (ageMs === undefined || ageMs <= options.olderThanMs) return undefined;
  if ((await store.leases.of(from.baseName)) !== undefined) return undefined;
  for (const place of stages) if (await isThere(paths.metadata({ ...from, place }))) return undefined;
  const to = await freeSpot(paths, { ...from, place: 'broken' });
  if (!options.dryRun) {
    await moveJob(paths, { from, to });
    store.log?.warn({ job: from.baseName, place: from.place }, 'prompt without metadata set aside in .broken');
  }
  return { path: paths.prompt(from), ageMs, movedTo: paths.prompt(to) };
}

/** Age of a file by its last change of any kind; a rename counts. `undefined` for what is no plain file. */
async function ageOf(store: QueueStore, path: string): Promise<number | undefined> {
  const found = await lstat(path).catch(undefinedIfAbsent);
  if (found?.isFile() !== true) return undefined;
  return store.now().getTime() - Math.max(found.mtimeMs, found.ctimeMs);
}
