import type { CharacterRunPaths, DatasetPaths, Reservation } from './dataset.js';
import type { CharacterJob } from './job.js';

/** What every stage of a run begins with. */
export interface CharacterRun {
  readonly reservation: Reservation;
  readonly paths: CharacterRunPaths;
  readonly dataset: DatasetPaths;
  readonly job: CharacterJob;
  /** `<slug>` of file names. */
  readonly slug: string;
}

/** Writes `job.json` once; a repeated call with another job is an error. @throws TowerError `RUN_HAS_ANOTHER_JOB` */
export declare function createRun(runDirectory: string, job: CharacterJob): Promise<CharacterRun>;

/** @throws TowerError `NOT_FOUND`, `FILE_INVALID` */
export declare function openRun(runDirectory: string): Promise<CharacterRun>;
