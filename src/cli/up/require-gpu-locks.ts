import { gpuLockPath } from '../../gpu/devices.js';
import { refuseMovedLock } from '../../training/refuse-moved-lock.js';
import type { CommandContext } from '../command-context.js';

/**
 * Before anything serves these GPUs.
 *
 * @throws TowerError `GPU_LOCK_MOVED`
 */
export async function requireGpuLocks(
  { config, paths }: Pick<CommandContext, 'config' | 'paths'>,
  gpuIndexes: readonly number[],
): Promise<void> {
  const locks = gpuIndexes.map((index) => gpuLockPath(config.gpu, { index, fallback: paths.gpu }));
  await refuseMovedLock(paths.runs, await Promise.all(locks));
}
