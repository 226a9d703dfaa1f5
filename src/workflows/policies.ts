import type { ActivityOptions } from '@temporalio/workflow';

import type { CharacterPriority, CheckedCharacter } from '../activities/character/interfaces.js';
import type { Placement } from '../activities/interfaces.js';
import { gpuQueue } from '../temporal/task-queues.js';

/**
 * Timeouts of the daily cycle, and timeouts and retries of every activity, in one place. What cannot be retried says so
 * itself (`nonRetryable`), so no policy lists error types.
 */

/** A cycle ends itself in order after this. */
export const dailyCycleTimeout = '18 hours';

/** The last resort for a cycle, and for a tick that waits for one: the server ends it, nothing is settled. */
export const dailyCycleExecutionTimeout = '20 hours';

/** A kill of the worker never costs more than this for activities that do not heartbeat. */
const briefTimeout = '30 seconds';

const patientRetry = { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '1 minute' } as const;

/** Look-ups and decisions: short, no heartbeat, retried until they succeed or the cycle's time is over. */
export const briefPolicy = {
  startToCloseTimeout: briefTimeout,
  retry: patientRetry,
} satisfies ActivityOptions;

/** Work on the host's files that can take long and heartbeats; its ledger or target file is the cursor. */
export function hostWorkPolicy(placement: { hostQueue: string; heartbeatTimeoutMs: number }): ActivityOptions {
  return {
    taskQueue: placement.hostQueue,
    startToCloseTimeout: '6 hours',
    heartbeatTimeout: placement.heartbeatTimeoutMs,
    retry: patientRetry,
  };
}

/** The server may be away for a day: delivery waits for it, looking every 10 minutes at most. */
export function deliveryPolicy(placement: { hostQueue: string; heartbeatTimeoutMs: number }): ActivityOptions {
  return {
    ...hostWorkPolicy(placement),
    retry: { initialInterval: '2 seconds', backoffCoefficient: 2, maximumInterval: '10 minutes' },
  };
}

/** A host that is switched off must not hold up the others; the next firing looks again. */
export function housekeepingPolicy(hostQueue: string): ActivityOptions {
  return {
    taskQueue: hostQueue,
    startToCloseTimeout: '2 minutes',
    scheduleToStartTimeout: '1 minute',
    scheduleToCloseTimeout: '5 minutes',
    summary: `housekeeping on ${hostQueue}`,
  };
}

/**
 * What holds the GPU. No attempt limit: a new attempt adopts the running trainer, so it costs nothing; the run record's
 * budget decides when a failing trainer is given up. No schedule-to-start timeout: waiting for the GPU is normal.
 */
export function gpuPolicy(placement: { gpuQueue: string; heartbeatTimeoutMs: number }): ActivityOptions {
  return {
    taskQueue: placement.gpuQueue,
    startToCloseTimeout: '20 hours',
    heartbeatTimeout: placement.heartbeatTimeoutMs,
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    // Short, however often workers were restarted before: meanwhile nobody follows the trainer, or the GPU stands idle.
    retry: { initialInterval: '1 second', backoffCoefficient: 2, maximumInterval: '5 seconds' },
  };
}

/** Where a run's images are made: on ComfyUI's own GPU of the host, whichever one trains. */
export function imagesPlacement(placement: Placement, { imagesGpuIndex: gpuIndex }: CheckedCharacter): Placement {
  if (gpuIndex === undefined) return placement;
  return { ...placement, gpuIndex, gpuQueue: gpuQueue(placement.host, gpuIndex) };
}

/** Waiting order at a GPU, what a person or a clock waits for first: the lower key goes first. */
export const gpuPriority = {
  urgent: { priorityKey: 1 },
  dailyTraining: { priorityKey: 2 },
  characterTraining: { priorityKey: 3 },
  characterImages: { priorityKey: 4 },
  promptWork: { priorityKey: 5 },
} as const;

/** Waiting order of a character run at a GPU, by how much it presses (docs/command-line.md has the table). Daily training has 2. */
const characterPriorities = {
  urgent: { images: gpuPriority.urgent, training: gpuPriority.characterTraining },
  high: { images: gpuPriority.characterTraining, training: gpuPriority.characterTraining },
  normal: { images: gpuPriority.characterImages, training: gpuPriority.characterTraining },
  low: { images: gpuPriority.promptWork, training: gpuPriority.promptWork },
} as const;

export function characterPriority(priority: CharacterPriority): (typeof characterPriorities)[CharacterPriority] {
  return characterPriorities[priority];
}
