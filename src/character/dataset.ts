import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { randomUUID } from 'node:crypto';

import { z } from 'zod';

import { TowerError } from '../errors.js';
import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import { namingFullDiskOf } from '../files/disk-full.js';
import { syncDirectory, writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { CharacterJob } from './job.js';
import { folderNameOf, slugOf } from './names.js';
import { namingRefusal } from './refused.js';
import { characterRunPaths, datasetPaths } from './run-paths.js';

/** `reservation.json` of a run. */
const reservationSchema = z.object({
  /** `character_<slug>_v<N>`. */
  run: z.string(),
  number: z.int().min(1),
  owner: z.string(),
  /** The dataset's folder. */
  dataset: z.string(),
  /** Tells the dataset's folder from one that another Tower made under the same name. */
  token: z.string(),
});
type ReservationRecord = z.output<typeof reservationSchema>;

/** Folders in the making, beside those that they become; one that is old was left by a crash. */
export const draftPrefix = '.reserve-';

const markSchema = z.looseObject({ token: z.string() });

export interface Reservation {
  /** `character_<slug>_v<N>`. */
  readonly run: string;
  /** Names the run in ComfyUI's queue: another Tower that uses the same ComfyUI may have a run of the same name. */
  readonly renderKey: string;
  readonly number: number;
  readonly runDirectory: string;
  /** Dataset's folder. */
  readonly dataset: string;
}

export interface ReserveRequest {
  /** Folder that holds the datasets. */
  readonly datasets: string;
  /** Folder that holds one folder per run. */
  readonly runs: string;
  readonly job: Pick<CharacterJob, 'name' | 'outputDir' | 'dataset'>;
  /** Who reserves: the same owner gets the same reservation again. The workflow id. */
  readonly owner: string;
}

/**
 * Takes the next free number for a run and its dataset. Making the folders is the reservation: of two callers with the same
 * name each gets its own, and a repeated call of one owner finds what it had made.
 *
 * @throws TowerError `DATASET_FOLDER_TAKEN` (`outputDir` has files of somebody else), `DATASET_MISSING` (`dataset` is no folder
 * with `images/`), `DATASET_FOLDER_UNUSABLE` (no folder can have this name), `NO_PERMISSION`, `DISK_FULL`.
 */
export async function reserveRun(request: ReserveRequest): Promise<Reservation> {
  const existing = request.job.dataset;
  if (existing !== undefined) await requireDataset(existing);
  for (let taken = 0; ;) {
    const record = (await findOwn(request)) ?? (await reserveNext(request, taken));
    if (record === undefined) continue;
    if (existing !== undefined || (await takeDataset(record, request))) {
      return { ...reservationOf(record), runDirectory: join(request.runs, record.run) };
    }
    taken = Math.max(taken, record.number);
  }
}

/** The reservation of a run. @throws TowerError `NOT_FOUND` */
export async function readReservation(runDirectory: string): Promise<Reservation> {
  const record = await readJsonIfExists(characterRunPaths(runDirectory).reservation, reservationSchema);
  if (record !== undefined) return { ...reservationOf(record), runDirectory };
  throw new TowerError('NOT_FOUND', `${runDirectory} is no folder of a character run`, {
    next: 'List the runs: `tower character list`.',
  });
}

function reservationOf({ run, number, dataset, token }: ReservationRecord): Omit<Reservation, 'runDirectory'> {
  return { run, renderKey: `${run}-${token.slice(0, 8)}`, number, dataset };
}

/** The lowest, so that all attempts of one owner agree. */
async function findOwn({ runs, job, owner }: ReserveRequest): Promise<ReservationRecord | undefined> {
  const runPattern = runNamePattern(job.name);
  let own: ReservationRecord | undefined;
  for (const name of (await namesIn(runs)).filter((candidate) => runPattern.test(candidate))) {
    const record = await readJsonIfExists(characterRunPaths(join(runs, name)).reservation, reservationSchema);
    if (record?.owner === owner && (own === undefined || record.number < own.number)) own = record;
  }
  return own;
}

/**
 * @param taken - The highest number whose dataset folder was found to be somebody else's.
 * @returns `undefined` when another caller took the number first.
 */
async function reserveNext(request: ReserveRequest, taken: number): Promise<ReservationRecord | undefined> {
  const { runs, datasets, job, owner } = request;
  const number = Math.max(taken + 1, await nextNumber({ runs, datasets, name: job.name }));
  const run = `character_${slugOf(job.name)}_v${number}`;
  const dataset = job.dataset ?? job.outputDir ?? join(datasets, `${folderNameOf(job.name)}-v${number}`);
  const content: ReservationRecord = { run, number, owner, dataset, token: randomUUID() };
  if (!(await placeFolder(join(runs, run), 'reservation.json', content))) return undefined;
  // Another attempt of this owner may have reserved at the same moment.
  const own = await findOwn(request);
  if (own?.run !== run) await rm(join(runs, run), { recursive: true, force: true });
  return own;
}

/** The number after the highest of this slug, in whatever case the folders are written. */
async function nextNumber({ runs, datasets, name }: { runs: string; datasets: string; name: string }): Promise<number> {
  const slug = slugOf(name);
  const folder = folderNameOf(name).toLowerCase();
  const runPattern = runNamePattern(name);
  const ofRuns = (await namesIn(runs)).map((candidate) => runPattern.exec(candidate)?.[1]);
  const ofDatasets = (await namesIn(datasets)).map((candidate) => {
    const [, base, number] = /^(.+)-v(\d{1,9})$/.exec(candidate) ?? [];
    // A long name ends in a hash, which is another one for the slug.
    return base !== undefined && (slugOf(base) === slug || base.toLowerCase() === folder) ? number : undefined;
  });
  return 1 + [...ofRuns, ...ofDatasets].reduce((highest, number) => Math.max(highest, Number(number ?? 0)), 0);
}

function runNamePattern(name: string): RegExp {
  return new RegExp(`^character_${slugOf(name)}_v(\\d{1,9})$`);
}

/** @returns whether the folder belongs to this reservation; if not, the reservation is given back. */
async function takeDataset(record: ReservationRecord, { runs, job, owner }: ReserveRequest): Promise<boolean> {
  const { mark } = datasetPaths(record.dataset);
  const isOwn = async () => (await readJsonIfExists(mark, markSchema))?.token === record.token;
  const content = { run: record.run, name: job.name, owner, token: record.token };
  const giveBack = () => rm(join(runs, record.run), { recursive: true, force: true });
  try {
    if (await isOwn()) return true;
    if ((await placeFolder(record.dataset, basename(mark), content)) || (await isOwn())) return true;
  } catch (thrown) {
    const error = asUnusableName(thrown, record.dataset);
    // Nobody comes back to it.
    if (error instanceof TowerError && !error.retryable) await giveBack();
    throw error;
  }
  await giveBack();
  if (job.outputDir === undefined) return false;
  throw new TowerError('DATASET_FOLDER_TAKEN', `${record.dataset} exists and is not empty`, {
    next: 'Name a new or empty folder as outputDir, or leave it out; `tag` and `train` take an existing one as dataset.',
  });
}

/** A name that no folder can have will be none the next time either. */
function asUnusableName(thrown: unknown, folder: string): unknown {
  const { code } = thrown as NodeJS.ErrnoException;
  if (code !== 'ENAMETOOLONG' && code !== 'ELOOP') return thrown;
  return new TowerError('DATASET_FOLDER_UNUSABLE', `there can be no folder ${folder} (${code})`, {
    cause: thrown,
    next: 'Name another folder as outputDir.',
  });
}

/**
 * Makes a folder with one file in it, in one step: a crash leaves the whole folder or none. An empty folder of that name is
 * taken.
 *
 * @returns `false` when there is a folder with something in it.
 */
async function placeFolder(target: string, file: string, content: unknown): Promise<boolean> {
  const draft = join(dirname(target), `${draftPrefix}${randomUUID()}`);
  const place = async () => {
    try {
      await mkdir(draft, { recursive: true });
      await writeJsonDurable(join(draft, file), content);
      await rename(draft, target);
    } catch (error) {
      // Below a file there is nothing to remove, which is no fault of its own.
      await rm(draft, { recursive: true, force: true }).catch(undefinedIfAbsent);
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR') return false;
      throw error;
    }
    await syncDirectory(dirname(target));
    return true;
  };
  return namingRefusal(target, () => namingFullDiskOf(target, place));
}

/** @throws TowerError `DATASET_MISSING`, `NO_PERMISSION` */
export async function requireDataset(folder: string): Promise<void> {
  const { images } = datasetPaths(folder);
  if (!(await holdsFiles(images))) {
    throw new TowerError('DATASET_MISSING', `${folder} is no dataset: ${images} is not there or empty`, {
      next: 'Name the folder that holds images/, not images/ itself; a run that goes on needs its dataset where it was.',
    });
  }
}

async function holdsFiles(folder: string): Promise<boolean> {
  try {
    return (await namesIn(folder)).length > 0;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    throw new TowerError('NO_PERMISSION', `${folder} cannot be read (${code})`, {
      cause: error,
      next: `Let the user that Tower runs as read ${folder}, then start the job again.`,
    });
  }
}
