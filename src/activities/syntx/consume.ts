import { Context } from '@temporalio/activity';

import type { Log } from '../../log/logger.js';
import type { RoomProgress } from '../../gpu/make-room.js';
import type { ServiceOptions } from '../../service-options.js';
import type { Settled } from '../../syntx/queue/settle.js';
import {
  calibrateJob,
  giveUpJob,
  type CalibrationProgress,
  type CalibrationRequest,
  type Consumer,
} from '../../syntx/wrapper/calibrate-job.js';
import type { RetryBudget } from '../../syntx/wrapper/retry-budget.js';
import { gpuQueue } from '../../temporal/task-queues.js';
import { waitsForOf, type WaitsFor } from '../../temporal/waiting-reasons.js';
import { gaveWay, waitInTurn, withGpuTurn } from '../gpu-turn.js';
import { withHeartbeat } from '../heartbeat.js';
import { makeRoomForPrompts, roomWait, type RoomWait } from '../make-room-for.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import type {
  CalibrationInput,
  ConsumerPlan,
  ConsumerReference,
  PromptOutcome,
  PromptReference,
} from './interfaces.js';
import { callLimitMs, type QueueAccess } from './queue-access.js';

const second = 1000;
/** The queue's lock may be busy for a while. */
const attemptMarginMs = 5 * 60 * second;

/** What a prompt heartbeats: where its call is, or what it waits for. */
type Beat = RoomWait | { readonly stage: string; readonly waitsFor?: WaitsFor };

/** Has one claimed prompt answered and scored; under the GPU's lock when the model uses a GPU of this host. */
export async function calibratePrompt(
  environment: WorkerEnvironment,
  access: QueueAccess,
  { consumer, job, gpuIndex }: CalibrationInput,
): Promise<PromptOutcome> {
  const context = Context.current();
  const log = environment.log.child({ consumer: consumer.run });
  const periodMs = environment.config.worker.heartbeatSeconds * second;
  const { wrapper: client, turns, unstored } = access;
  const request = { ...jobRequest(access, consumer, job), client, turns, unstored };
  return withHeartbeat<Beat, PromptOutcome>(context, periodMs, async (beat) => {
    const onProgress = (progress: CalibrationProgress) => beat(beatOf(progress));
    const work = (signal: AbortSignal, makeWay?: AbortSignal) =>
      calibrate({ ...request, ...(makeWay && { makeWay }), access }, { signal, onProgress, log });
    if (gpuIndex === null) return work(context.cancellationSignal);
    return withGpuTurn(environment, context, { gpuIndex, run: consumer.run, kind: 'prompt' }, async (turn) => {
      const onWait = (progress: RoomProgress) => beat(roomWait(progress));
      const stopped = await waitInTurn(turn, (signal) =>
        makeRoomForPrompts(environment, gpuIndex, { signal, log, onProgress: onWait }),
      );
      if (stopped !== undefined) throw gaveWay(stopped);
      return work(turn.signal, turn.yieldSignal).catch((error: unknown) => {
        const { yieldRequested } = turn;
        throw yieldRequested !== undefined && error === turn.yieldSignal.reason ? gaveWay(yieldRequested) : error;
      });
    });
  });
}

/** Ends a job whose retries are used up. */
export async function giveUpPrompt(
  access: QueueAccess,
  { consumer, job }: { readonly consumer: ConsumerReference; readonly job: PromptReference },
  log: Log,
): Promise<PromptOutcome> {
  return outcomeOf(await giveUpJob(jobRequest(access, consumer, job), { log }));
}

/** What the workflow of a consumer has to know of the configuration. */
export function consumerPlan(
  { config, host }: Pick<WorkerEnvironment, 'config' | 'host'>,
  { batch, heartbeatTimeoutMs }: { readonly batch: number | undefined; readonly heartbeatTimeoutMs: number },
): Omit<ConsumerPlan, 'takenBack'> {
  const { consume, wrapper } = config.syntx;
  const { gpu: index } = consume;
  return {
    batch: batch ?? consume.batch,
    // On a GPU one call at a time is what its slot gives.
    parallel: index === undefined ? consume.parallel : 1,
    stopAfterFaults: consume.stopAfterFaults,
    gpu: index === undefined ? null : { queue: gpuQueue(host, index), index },
    attemptLimitMs: 2 * callLimitMs(wrapper) + attemptMarginMs,
    heartbeatTimeoutMs,
  };
}

/** As the original's cron jobs call themselves (contract syntx 3.1). */
export function workerId(wrapper: string): string {
  return wrapper === 'syntex_system' ? 'cron_syntex' : `cron_${wrapper}`;
}

function beatOf({ stage, waitsFor }: CalibrationProgress): Beat {
  return { stage, ...(waitsFor !== undefined && { waitsFor: waitsForOf(waitsFor) }) };
}

async function calibrate(
  { access, ...request }: CalibrationRequest & { readonly access: QueueAccess },
  options: ServiceOptions<CalibrationProgress>,
): Promise<PromptOutcome> {
  const budget = retryBudget(access);
  return outcomeOf(await calibrateJob({ ...request, budget }, options));
}

function jobRequest(access: QueueAccess, consumer: ConsumerReference, job: PromptReference) {
  const { queue, logs } = access.files;
  return { queue, logs, job, consumer: logged(consumer), threshold: access.settings.consume.threshold };
}

function logged({ run, wrapper, sessionId }: ConsumerReference): Consumer {
  return { run, wrapper, sessionId, workerId: workerId(wrapper) };
}

function retryBudget(access: QueueAccess): RetryBudget {
  const { times, firstSeconds, longestSeconds, lateSeconds, onceSeconds } = access.settings.consume.retry;
  return {
    backoff: { retries: times, firstMs: firstSeconds * second, longestMs: longestSeconds * second },
    ...{ lateMs: lateSeconds * second, onceMs: onceSeconds * second },
  };
}

function outcomeOf({ baseName, stage, score, reason, simulated }: Settled): PromptOutcome {
  return { baseName, stage, score, reason, simulated };
}
