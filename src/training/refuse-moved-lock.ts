import { basename, join, resolve } from 'node:path';

import { TowerError } from '../errors.js';
import { livingLaunches, type Launch } from './launch-record.js';
import { listRuns } from './list-runs.js';
import { runDirectory } from './run-directory.js';

/**
 * A trainer keeps the lock under which it was started: under another one a second trainer could start beside it.
 *
 * @param locks - Lock files of the GPUs, as they are configured now.
 * @throws TowerError `GPU_LOCK_MOVED` when a trainer of one of these GPUs lives under a lock file elsewhere.
 */
export async function refuseMovedLock(runsDirectory: string, locks: readonly string[]): Promise<void> {
  for (const id of await listRuns(runsDirectory)) {
    for (const { spec } of await launchesOf(join(runsDirectory, id))) {
      const held = resolve(spec.lock);
      const lock = locks.map((path) => resolve(path)).find((path) => basename(path) === basename(held));
      if (lock === undefined || lock === held) continue;
      throw new TowerError('GPU_LOCK_MOVED', `the trainer of ${id} runs under the lock ${held}, not under ${lock}`, {
        next: 'Set `gpu.lockDirectory` back until that training has ended, or pause it before the change.',
      });
    }
  }
}

/** A run whose records are damaged is no reason to start nothing. */
async function launchesOf(directory: string): Promise<readonly Launch[]> {
  try {
    return await livingLaunches(runDirectory(directory));
  } catch (error) {
    if (error instanceof TowerError && error.code === 'FILE_INVALID') return [];
    throw error;
  }
}
