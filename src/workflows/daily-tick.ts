import { executeChild, ParentClosePolicy, workflowInfo, WorkflowIdReusePolicy } from '@temporalio/workflow';
import {
  defineSearchAttributeKey,
  SearchAttributeType,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/common';

import { dailyCycle, type DailyCycleResult } from './daily-cycle.js';
import { checkDailyInput } from './daily-input.js';
import { dailyCycleWorkflowId } from './names.js';
import { dailyCycleExecutionTimeout } from './policies.js';

/**
 * `dailyTick`: one firing of the daily schedule. Also the documented way to start a cycle by hand:
 * `temporal workflow start --type dailyTick --task-queue tower --workflow-id my-tick --input '{"force": true}'`.
 */
export interface DailyTickInput {
  /** Logical time of the cycle, ISO 8601 with its zone; default: the schedule's time, else the start of this workflow. */
  readonly scheduledTime?: string;
  /** Train even when nothing is new. */
  readonly force?: boolean;
  /** Promote what is trained, whatever the evaluation says; recorded as forced. */
  readonly forcePromote?: boolean;
  readonly host?: string;
}

export type DailyTickResult =
  | { readonly outcome: 'ran'; readonly cycle: DailyCycleResult }
  | { readonly outcome: 'skipped'; readonly reason: string };

const scheduledStartTimeKey = defineSearchAttributeKey('TemporalScheduledStartTime', SearchAttributeType.DATETIME);

export async function dailyTick(input: DailyTickInput = {}): Promise<DailyTickResult> {
  checkDailyInput(input, ['scheduledTime', 'force', 'forcePromote', 'host']);
  const { scheduledTime = scheduledStartTime() ?? workflowInfo().startTime.toISOString() } = input;
  const logicalTime = new Date(scheduledTime).toISOString();
  try {
    const cycle = await executeChild(dailyCycle, {
      workflowId: dailyCycleWorkflowId,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      workflowExecutionTimeout: dailyCycleExecutionTimeout,
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      staticSummary: `Daily cycle of ${logicalTime}`,
      args: [{ logicalTime, force: input.force ?? false, forcePromote: input.forcePromote ?? false, host: input.host }],
    });
    return { outcome: 'ran', cycle };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      return { outcome: 'skipped', reason: 'a daily cycle is running already; this tick starts no second one' };
    }
    throw error;
  }
}

/** The schedule's own time for this action; the server records it as a search attribute. */
function scheduledStartTime(): string | undefined {
  return workflowInfo().typedSearchAttributes.get(scheduledStartTimeKey)?.toISOString();
}
