import type { ActivityOptions } from '@temporalio/workflow';
import type { Duration } from '@temporalio/common';

import type { ConsumerPlan, ProductionDecision } from '../activities/syntx/interfaces.js';
import { briefPolicy, gpuPriority } from './policies.js';

/** The last resort for a run of each kind: the server ends it, and the next one takes up what it leaves. */
export const promptExecutionTimeouts = {
  produce: '24 hours',
  consume: '24 hours',
  monitor: '30 minutes',
  clean: '1 hour',
} satisfies Record<string, Duration>;

/** Work on the queue's files, or calls that are kept one by one: a new attempt goes on where the last one was. */
export function promptWorkPolicy(heartbeatTimeout: Duration): ActivityOptions {
  return { ...briefPolicy, startToCloseTimeout: '2 hours', heartbeatTimeout };
}

/** Before the last resort above, so that a run ends in order. */
const longestGenerationMs = 20 * 60 * 60_000;

/** The activity itself gives up an endpoint that is not there, long before this. */
export function generationPolicy({
  heartbeatTimeoutMs,
  // Missing in histories that began before it was told.
  generationLimitMs = longestGenerationMs,
}: Pick<ProductionDecision, 'heartbeatTimeoutMs' | 'generationLimitMs'>): ActivityOptions {
  const limitMs = Math.min(longestGenerationMs, generationLimitMs);
  return {
    ...promptWorkPolicy(heartbeatTimeoutMs),
    ...{ startToCloseTimeout: limitMs, scheduleToCloseTimeout: limitMs },
  };
}

/** What a cancelled run still does: the next one takes up what a full disk keeps it from. */
export const closingPolicy: ActivityOptions = { ...briefPolicy, scheduleToCloseTimeout: '5 minutes' };

/** Looks at the whole queue and its logs, which may be large; its first attempt has no run to ask for a heartbeat's period. */
export const lookPolicy: ActivityOptions = {
  ...briefPolicy,
  startToCloseTimeout: '15 minutes',
  heartbeatTimeout: '4 minutes',
};

/** A page that cannot be written holds up no run: long before the last resort, the run ends without it. */
export const reportPolicy: ActivityOptions = { ...lookPolicy, scheduleToCloseTimeout: '10 minutes' };

/** One prompt. How often and when it is tried again is in the errors; so there is no limit here. */
export function calibrationPolicy(
  { gpu, attemptLimitMs, heartbeatTimeoutMs }: ConsumerPlan,
  summary: string,
): ActivityOptions {
  return {
    ...briefPolicy,
    ...{ startToCloseTimeout: attemptLimitMs, heartbeatTimeout: heartbeatTimeoutMs, summary },
    // Not waited for: between two attempts that may take half an hour, and an attempt whose job is given back can settle nothing.
    cancellationType: 'TRY_CANCEL',
    ...(gpu !== null && { taskQueue: gpu.queue, priority: gpuPriority.promptWork }),
  };
}
