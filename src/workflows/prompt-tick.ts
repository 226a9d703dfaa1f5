import { executeChild, ParentClosePolicy, workflowInfo, WorkflowIdReusePolicy } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';

import { cleanQueue, type CleanQueueResult } from './clean.js';
import { consumePrompts, type ConsumePromptsResult } from './consume.js';
import { monitorQueue, type MonitorQueueResult } from './monitor.js';
import { consumeWorkflowId, promptWorkflowIds } from './names.js';
import { producePrompts, type ProducePromptsResult } from './produce.js';
import { checkPromptInput, scheduledStartTime } from './prompt-input.js';
import { promptExecutionTimeouts } from './prompt-policies.js';
import { requireInput } from './require-input.js';

/**
 * `promptTick`: one firing of a schedule of the prompt evolution. Also the documented way to start one by hand: `temporal workflow
 * start --type promptTick --task-queue tower --workflow-id my-tick --input '{"kind": "consume", "wrapper": "sigma"}'`.
 */
export interface PromptTickInput {
  readonly kind: 'produce' | 'consume' | 'monitor' | 'clean';
  /** For `consume`. */
  readonly wrapper?: string;
  /** Prompts of the run; for `produce` and `consume`. */
  readonly batch?: number;
  /** For `produce`: make them whatever waits. */
  readonly force?: boolean;
  /** For `clean`. */
  readonly dryRun?: boolean;
  /** Logical time of the run, ISO 8601 with its zone; default: the schedule's time, else the start of this workflow. */
  readonly scheduledTime?: string;
}

type PromptResult = ProducePromptsResult | ConsumePromptsResult | MonitorQueueResult | CleanQueueResult;

export type PromptTickResult =
  | { readonly outcome: 'ran'; readonly kind: PromptTickInput['kind']; readonly result: PromptResult }
  | { readonly outcome: 'skipped'; readonly kind: PromptTickInput['kind']; readonly reason: string };

const names = ['kind', 'wrapper', 'batch', 'force', 'dryRun', 'scheduledTime'];

/**
 * Starts the run under its fixed id and waits for it, so that the schedule knows that it is at work; a run that somebody has started
 * by hand makes it end with that reason.
 */
export async function promptTick(input?: PromptTickInput): Promise<PromptTickResult> {
  const given = requireInput('promptTick', input);
  checkPromptInput(given, { names, required: given.kind === 'consume' ? ['kind', 'wrapper'] : ['kind'] });
  const { kind, scheduledTime = scheduledStartTime() ?? workflowInfo().startTime.toISOString() } = given;
  const logicalTime = new Date(scheduledTime).toISOString();
  try {
    return { outcome: 'ran', kind, result: await run(given, logicalTime) };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) {
      return {
        outcome: 'skipped',
        kind,
        reason: `${error.workflowId} is running already; this tick starts no second one`,
      };
    }
    throw error;
  }
}

async function run(input: PromptTickInput, logicalTime: string): Promise<PromptResult> {
  const { kind, wrapper = '', batch, force, dryRun } = input;
  switch (kind) {
    case 'produce':
      return executeChild(producePrompts, {
        ...child(kind, logicalTime),
        ...{ workflowId: promptWorkflowIds.produce, args: [{ logicalTime, count: batch, force }] },
      });
    case 'consume':
      return executeChild(consumePrompts, {
        ...child(kind, logicalTime),
        ...{ workflowId: consumeWorkflowId(wrapper), args: [{ logicalTime, wrapper, batch }] },
      });
    case 'monitor':
      return executeChild(monitorQueue, {
        ...child(kind, logicalTime),
        ...{ workflowId: promptWorkflowIds.monitor, args: [{ logicalTime }] },
      });
    case 'clean':
      return executeChild(cleanQueue, {
        ...child(kind, logicalTime),
        ...{ workflowId: promptWorkflowIds.clean, args: [{ logicalTime, dryRun }] },
      });
  }
}

function child(kind: PromptTickInput['kind'], logicalTime: string) {
  return {
    workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
    workflowExecutionTimeout: promptExecutionTimeouts[kind],
    parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
    staticSummary: `${kind} of ${logicalTime}`,
  };
}
