import type { Context } from '@temporalio/activity';

import { TowerError } from '../errors.js';
import { gpuLockPath } from '../gpu/devices.js';
import { holdLock } from '../gpu/kernel-lock.js';
import { YieldWatch } from '../gpu/yield-watch.js';
import { describeQueueBacklog } from '../temporal/worker-queues.js';
import type { WorkerEnvironment } from './worker-environment.js';

const minute = 60_000;

/** The server's priority of an activity that was given none. */
const defaultPriority = 3;

/** One activity's time on the GPU. The work asks {@link yieldRequested} between two pieces. */
export interface GpuTurn {
  /** Aborts when the activity is to end, and when the GPU's lock is lost. */
  readonly signal: AbortSignal;
  /** Why the work should end after its present piece, because more urgent work waits; stays once it is set. */
  readonly yieldRequested: { readonly reason: string } | undefined;
  /** Aborts when {@link yieldRequested} is set; see {@link waitInTurn}. */
  readonly yieldSignal: AbortSignal;
}

/**
 * Runs GPU work that happens inside this process or by requests to a server (rendering): under the GPU's kernel lock, and
 * with an eye on the activity's own queue for work that is more urgent. The activity must heartbeat by itself.
 *
 * @throws GpuBusyError when another run holds the GPU; whatever `work` throws.
 */
export async function withGpuTurn<Result>(
  environment: Pick<WorkerEnvironment, 'client' | 'config' | 'log' | 'paths'>,
  context: Context,
  { gpuIndex, ...holder }: { readonly gpuIndex: number; readonly run: string; readonly kind: string },
  work: (turn: GpuTurn) => Promise<Result>,
): Promise<Result> {
  const { client, config, log, paths } = environment;
  const { taskQueue, priority, workflowExecution } = context.info;
  const lock = await holdLock(
    {
      ...holder,
      lock: await gpuLockPath(config.gpu, { index: gpuIndex, fallback: paths.gpu }),
      workflowId: workflowExecution?.workflowId ?? '',
      stateDirectory: paths.home,
    },
    { python: config.gpu.python },
  );
  const watch = new YieldWatch({
    ownPriority: priority?.priorityKey ?? defaultPriority,
    turnMs: config.gpu.turnMinutes * minute,
    readBacklog: () => describeQueueBacklog(client, taskQueue),
    log,
  });
  try {
    return await work({
      signal: AbortSignal.any([context.cancellationSignal, lock.lost]),
      get yieldRequested() {
        return watch.yieldRequested;
      },
      yieldSignal: watch.yieldSignal,
    });
  } finally {
    await watch.stop();
    await lock.release();
  }
}

/**
 * Waits for something without which the turn's work cannot begin, such as a server that is away: whoever is more urgent must
 * not wait for it too.
 *
 * @returns why the wait was given up; `undefined` when it has come to its end.
 * @throws what `wait` throws by itself, and the turn's signal.
 */
export async function waitInTurn(
  turn: GpuTurn,
  wait: (signal: AbortSignal) => Promise<void>,
): Promise<{ readonly reason: string } | undefined> {
  try {
    await wait(AbortSignal.any([turn.signal, turn.yieldSignal]));
    return undefined;
  } catch (error) {
    turn.signal.throwIfAborted();
    if (turn.yieldRequested === undefined) throw error;
    return turn.yieldRequested;
  }
}

/** The end of work that is begun anew after whoever is more urgent: retryable, soon, and no fault of anything. */
export function gaveWay({ reason }: { readonly reason: string }): TowerError {
  return new TowerError('GPU_GIVEN_BACK', `it made way on the GPU: ${reason}`, {
    ...{ retryable: true, retryAfterMs: 1_000 },
    next: 'Wait; the work goes on by itself.',
  });
}
