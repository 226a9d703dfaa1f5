import { isDeepStrictEqual } from 'node:util';

import { z } from 'zod';

import { TowerError } from '../errors.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import { withBaseModelKind } from '../kohya/base-model.js';
import { readReservation, type Reservation } from './dataset.js';
import { characterJobSchema, type CharacterJob } from './job.js';
import { slugOf } from './names.js';
import { characterRunPaths, datasetPaths, type CharacterRunPaths, type DatasetPaths } from './run-paths.js';

/** What every stage of a run begins with. */
export interface CharacterRun {
  readonly reservation: Reservation;
  readonly paths: CharacterRunPaths;
  readonly dataset: DatasetPaths;
  readonly job: CharacterJob;
  /** `<slug>` of file names. */
  readonly slug: string;
}

const jobRecordSchema = z.preprocess(withBaseModelKind, characterJobSchema);

/** Writes `job.json` once; a repeated call with another job is an error. @throws TowerError `RUN_HAS_ANOTHER_JOB` */
export async function createRun(runDirectory: string, job: CharacterJob): Promise<CharacterRun> {
  const paths = characterRunPaths(runDirectory);
  const earlier = await readJsonIfExists(paths.job, jobRecordSchema);
  if (earlier === undefined) await writeJsonDurable(paths.job, job);
  // Through JSON, because a key that is undefined is none there.
  else if (!isDeepStrictEqual(JSON.parse(JSON.stringify(earlier)), JSON.parse(JSON.stringify(job)))) {
    throw new TowerError('RUN_HAS_ANOTHER_JOB', `${runDirectory} was begun with another job`, {
      next: 'Start the job as a new run.',
    });
  }
  return openRun(runDirectory);
}

/** @throws TowerError `NOT_FOUND`, `FILE_INVALID` */
export async function openRun(runDirectory: string): Promise<CharacterRun> {
  const paths = characterRunPaths(runDirectory);
  const reservation = await readReservation(runDirectory);
  const job = await readJsonIfExists(paths.job, jobRecordSchema);
  if (job === undefined) {
    throw new TowerError('NOT_FOUND', `${paths.job} is not there: the run was not prepared to its end`, {
      next: 'Start the job again.',
    });
  }
  return { reservation, paths, dataset: datasetPaths(reservation.dataset), job, slug: slugOf(job.name) };
}
