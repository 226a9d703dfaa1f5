import { join } from 'node:path';

import { listRuns } from '../../training/list-runs.js';
import { livingLaunches } from '../../training/launch-record.js';
import { runDirectory } from '../../training/run-directory.js';
import type { CommandContext } from '../command-context.js';

/** Trainers of this state directory that run now, whether or not a worker follows them. */
export async function livingTrainers({
  paths,
}: Pick<CommandContext, 'paths'>): Promise<{ run: string; pid: number }[]> {
  const trainers: { run: string; pid: number }[] = [];
  for (const run of await listRuns(paths.runs)) {
    for (const launch of await livingLaunches(runDirectory(join(paths.runs, run)))) {
      trainers.push({ run, pid: launch.process.trainerPid ?? launch.process.pid });
    }
  }
  return trainers;
}
