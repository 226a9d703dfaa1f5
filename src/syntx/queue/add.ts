import { newBaseName } from './job-name.js';
import { metadataText, withOwnKeys, type Metadata } from './metadata.js';
import { nameHolder } from './name-holder.js';
import type { QueueStore } from './queue-store.js';
import { writeStaged } from './staged-write.js';

export interface NewJob {
  /** From the work that made it, for example run and number: the same job added again is not a second one. */
  readonly id: string;
  readonly category: string;
  readonly style: string;
  readonly prompt: string;
  /** All keys but `filename`, in their order (contract syntx 1.3). */
  readonly metadata: Metadata;
  /** Time of the name: that of the run, not the clock of an attempt. */
  readonly time: Date;
  /** Keeps jobs with the same time apart and in order. */
  readonly sequence: number;
}

export interface Added {
  readonly baseName: string;
  /** Whether an earlier attempt had added it. */
  readonly repeated: boolean;
}

/**
 * Writes a job into `incoming`: metadata first and the prompt last, so that no consumer finds a prompt without its metadata
 * (contract syntx 7, weakness 3). A name that is taken by another job, for example after the clock was set back, is left alone
 * and the next one is used.
 */
export async function addJob(store: QueueStore, job: NewJob): Promise<Added> {
  return store.change(async () => {
    const { baseName, isHere } = await nameOf(store, job);
    if (isHere) return { baseName, repeated: true };
    const metadata = withOwnKeys({ ...job.metadata, filename: `${baseName}.txt` }, { id: job.id });
    await writeNew(store, baseName, { prompt: job.prompt, metadata });
    return { baseName, repeated: false };
  });
}

/** Whether {@link addJob} would find the job in the queue, in whatever place. */
export async function isAdded(store: QueueStore, job: NewJob): Promise<boolean> {
  return store.change(async () => (await nameOf(store, job)).isHere);
}

/** The name that the job has; else, one that is free for it. */
async function nameOf(
  store: QueueStore,
  job: NewJob,
): Promise<{ readonly baseName: string; readonly isHere: boolean }> {
  for (let sequence = job.sequence; ; sequence += 1000) {
    const baseName = newBaseName(job, job.time, sequence, store.timeZone);
    const holder = await nameHolder(store.paths, baseName, await store.failedNames());
    const isOwn = holder?.own['id'] === job.id;
    // Its own metadata without a prompt: an earlier attempt ended between the two files.
    if (holder === undefined || (isOwn && !holder.hasPrompt && holder.spot.place === 'incoming')) {
      return { baseName, isHere: false };
    }
    if (isOwn) return { baseName: holder.spot.baseName, isHere: true };
  }
}

/** Puts a new job's files into `incoming`. Under the queue's lock; the name must be free. */
export async function writeNew(
  store: QueueStore,
  baseName: string,
  { prompt, metadata }: { readonly prompt: string; readonly metadata: Metadata },
): Promise<void> {
  const { paths } = store;
  const spot = { place: 'incoming', baseName } as const;
  await writeStaged(paths.staging, paths.metadata(spot), metadataText(metadata));
  await writeStaged(paths.staging, paths.prompt(spot), prompt);
  await store.sync(paths.directory('incoming'));
}
