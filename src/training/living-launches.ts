import { join } from 'node:path';

import { TowerError } from '../errors.js';
import { livingLaunches, type Launch } from './launch-record.js';
import { listRuns } from './list-runs.js';
import { runDirectory } from './run-directory.js';

export interface LivingLaunch {
  /** Id of the run. */
  readonly run: string;
  readonly launch: Launch;
}

/** Launches of all runs in a runs folder whose trainer lives. Of a run whose records are damaged nobody can tell. */
export async function allLivingLaunches(runsDirectory: string): Promise<LivingLaunch[]> {
  const living: LivingLaunch[] = [];
  for (const run of await listRuns(runsDirectory)) {
    try {
      const launches = await livingLaunches(runDirectory(join(runsDirectory, run)));
      living.push(...launches.map((launch) => ({ run, launch })));
    } catch (error) {
      if (!(error instanceof TowerError) || error.code !== 'FILE_INVALID') throw error;
    }
  }
  return living;
}
