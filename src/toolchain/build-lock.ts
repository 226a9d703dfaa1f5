import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { holdLock, type HeldLock } from '../gpu/kernel-lock.js';
import { GpuBusyError } from '../gpu/launch-errors.js';
import type { ServiceOptions } from '../service-options.js';

const askAgainMs = 500;

/**
 * Runs `build` under a kernel lock, after whoever builds there now. The kernel frees the lock when a builder dies, so a
 * half-built result without a holder is nobody's.
 *
 * @param build gets a signal that also aborts when the lock is lost.
 */
export async function underBuildLock<Result>(
  { lock, python }: { readonly lock: string; readonly python: string },
  { signal, onProgress }: ServiceOptions<string>,
  build: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  await mkdir(dirname(lock), { recursive: true });
  let held: HeldLock | undefined;
  while (held === undefined) {
    try {
      const run = 'trainer-environment';
      held = await holdLock({ lock, run, kind: 'build', workflowId: '', stateDirectory: dirname(lock) }, { python });
    } catch (error) {
      if (!(error instanceof GpuBusyError)) throw error;
      onProgress?.(`waiting for process ${error.holder?.pid ?? 'unknown'}, which builds the same`);
      await sleep(askAgainMs, undefined, { signal });
    }
  }
  try {
    return await build(AbortSignal.any([signal, held.lost]));
  } finally {
    await held.release();
  }
}
