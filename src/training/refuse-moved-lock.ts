import { basename, resolve } from 'node:path';

import { TowerError } from '../errors.js';
import { allLivingLaunches } from './living-launches.js';

/**
 * A trainer keeps the lock under which it was started: under another one a second trainer could start beside it.
 *
 * @param locks - Lock files of the GPUs, as they are configured now.
 * @throws TowerError `GPU_LOCK_MOVED` when a trainer of one of these GPUs lives under a lock file elsewhere.
 */
export async function refuseMovedLock(runsDirectory: string, locks: readonly string[]): Promise<void> {
  for (const { run, launch } of await allLivingLaunches(runsDirectory)) {
    const held = resolve(launch.spec.lock);
    const lock = locks.map((path) => resolve(path)).find((path) => basename(path) === basename(held));
    if (lock === undefined || lock === held) continue;
    throw new TowerError('GPU_LOCK_MOVED', `the trainer of ${run} runs under the lock ${held}, not under ${lock}`, {
      next: 'Set `gpu.lockDirectory` back until that training has ended, or pause it before the change.',
    });
  }
}
