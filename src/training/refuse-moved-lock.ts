import { stat } from 'node:fs/promises';
import { basename } from 'node:path';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { allLivingLaunches } from './living-launches.js';

/**
 * A trainer keeps the lock under which it was started: under another one a second trainer could start beside it.
 *
 * @param locks - Lock files of the GPUs, as they are configured now.
 * @throws TowerError `GPU_LOCK_MOVED` when a trainer of one of these GPUs lives under a lock file elsewhere.
 */
export async function refuseMovedLock(runsDirectory: string, locks: readonly string[]): Promise<void> {
  for (const { run, launch } of await allLivingLaunches(runsDirectory)) {
    const held = launch.spec.lock;
    const lock = locks.find((path) => basename(path) === basename(held));
    if (lock === undefined || (await isSameFile(lock, held))) continue;
    throw new TowerError('GPU_LOCK_MOVED', `the trainer of ${run} runs under the lock ${held}, not under ${lock}`, {
      next: `Set \`gpu.lockDirectory\` back until that training has ended, or end it now, after its last saved state: tower trainer stop ${run}`,
    });
  }
}

/** By what the kernel locks: paths may lead through links. */
async function isSameFile(one: string, other: string): Promise<boolean> {
  const [first, second] = await Promise.all([one, other].map((path) => stat(path).catch(undefinedIfAbsent)));
  if (first === undefined || second === undefined) return one === other;
  return first.ino === second.ino && first.dev === second.dev;
}
