import { baseNameOf } from './job-name.js';
import { isThere, moveJob } from './move.js';
import type { QueueStore } from './queue-store.js';

export interface Archived {
  readonly archived: readonly string[];
  readonly skipped: readonly { readonly baseName: string; readonly reason: string }[];
}

/**
 * Moves jobs that taught from `processed` to `archive`: prompt, metadata and answer together, or prompt and metadata of old
 * jobs that have no answer file. A job that is in the archive already counts as archived.
 */
export async function archiveJobs(store: QueueStore, jobs: readonly string[]): Promise<Archived> {
  const archived: string[] = [];
  const skipped: { baseName: string; reason: string }[] = [];
  for (const baseName of jobs.map(baseNameOf)) {
    const reason = await store.change(() => archiveOne(store, baseName));
    if (reason === undefined) archived.push(baseName);
    else skipped.push({ baseName, reason });
  }
  return { archived, skipped };
}

async function archiveOne({ paths }: QueueStore, baseName: string): Promise<string | undefined> {
  const from = { place: 'processed', baseName } as const;
  const to = { place: 'archive', baseName } as const;
  const isHere = (await isThere(paths.prompt(from))) && (await isThere(paths.metadata(from)));
  const isArchived = await isThere(paths.metadata(to));
  if (!isHere) return isArchived ? undefined : 'it is not in processed with prompt and metadata';
  if (isArchived || (await isThere(paths.prompt(to)))) return 'the archive has another job of this name';
  await moveJob(paths, { from, to });
  return undefined;
}
