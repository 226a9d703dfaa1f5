import { TowerError } from '../errors.js';
import { describeHolder, type HolderRecord } from './holder-record.js';
import type { LockOwner } from './lock-owner.js';

/** Another run holds the GPU. Costs no budget: the same attempt may succeed once that run has ended. */
export class GpuBusyError extends TowerError {
  readonly holder: HolderRecord | null;

  constructor(lockPath: string, { holder, stranger }: { holder: HolderRecord | null; stranger?: LockOwner }) {
    super('GPU_BUSY', `The GPU is held by ${describeHolder(holder, stranger)}; its lock is ${lockPath}`, {
      retryable: true,
      retryAfterMs: 15_000,
      next: 'Nothing: Tower tries again. `tower status` shows what the holder is doing.',
      details: {
        lockPath,
        run: holder?.run ?? null,
        kind: holder?.kind ?? null,
        pid: holder?.pid ?? stranger?.pid ?? null,
      },
    });
    this.holder = holder;
  }
}

/** A person or a workflow has stopped this generation of the run; a stale attempt may not revive it. */
export class RunStoppedError extends TowerError {
  constructor(run: string, generation: number, reason = 'cancel') {
    super('RUN_STOPPED', `Run ${run} was stopped (${reason}) in generation ${generation} and is not started again`, {
      next: 'Resume the run if it is to go on.',
      details: { run, generation, reason },
    });
  }
}

/**
 * The launcher could not start the trainer. Retryable unless `permanent`: Python or the trainer's program is missing or may
 * not be run, which stays so until somebody changes it.
 */
export class LaunchFailedError extends TowerError {
  constructor(
    run: string,
    reason: string,
    { permanent = false, cause }: { permanent?: boolean; cause?: unknown } = {},
  ) {
    super('LAUNCH_FAILED', `The launcher did not start the trainer of run ${run}: ${reason}`, {
      retryable: !permanent,
      ...(!permanent && { retryAfterMs: 15_000 }),
      next: 'Check that the configured Python exists and that the run folder is writable (`tower doctor`).',
      details: { run },
      cause,
    });
  }
}
