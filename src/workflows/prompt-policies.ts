import type { ActivityOptions } from '@temporalio/workflow';
import type { Duration } from '@temporalio/common';

import type { ConsumerPlan } from '../activities/syntx/interfaces.js';
import { briefPolicy, gpuPriority } from './policies.js';

/** The last resort for a run of each kind: the server ends it, and the next one takes up what it leaves. */
export const promptExecutionTimeouts = {
  produce: '4 hours',
  consume: '24 hours',
  monitor: '30 minutes',
  clean: '1 hour',
} satisfies Record<string, Duration>;

/** Work on the queue's files, or calls that are kept one by one: a new attempt goes on where the last one was. */
export function promptWorkPolicy(heartbeatTimeout: Duration): ActivityOptions {
  return { ...briefPolicy, startToCloseTimeout: '2 hours', heartbeatTimeout };
}

/** The endpoint may be away for a while; after so long the run ends, and the next firing tries again. */
export function generationPolicy(heartbeatTimeout: Duration): ActivityOptions {
  return { ...promptWorkPolicy(heartbeatTimeout), scheduleToCloseTimeout: '90 minutes' };
}

/** Looks at the whole queue and its logs, which may be large; its first attempt has no run to ask for a heartbeat's period. */
export const lookPolicy: ActivityOptions = {
  ...briefPolicy,
  startToCloseTimeout: '15 minutes',
  heartbeatTimeout: '4 minutes',
};

/** One prompt. How often and when it is tried again is in the errors; so there is no limit here. */
export function calibrationPolicy(
  { gpu, attemptLimitMs, heartbeatTimeoutMs }: ConsumerPlan,
  summary: string,
): ActivityOptions {
  return {
    ...briefPolicy,
    ...{ startToCloseTimeout: attemptLimitMs, heartbeatTimeout: heartbeatTimeoutMs, summary },
    cancellationType: 'WAIT_CANCELLATION_COMPLETED',
    ...(gpu !== null && { taskQueue: gpu.queue, priority: gpuPriority.promptWork }),
  };
}
