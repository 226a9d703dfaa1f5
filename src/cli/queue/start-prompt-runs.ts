import { randomUUID } from 'node:crypto';

import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  type WorkflowHandleWithFirstExecutionRunId,
} from '@temporalio/client';
import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy, type Workflow } from '@temporalio/common';

import { TowerError } from '../../errors.js';
import { towerQueue } from '../../temporal/task-queues.js';
import type { CleanQueueInput, CleanQueueResult, cleanQueue } from '../../workflows/clean.js';
import type { ConsumePromptsInput, ConsumePromptsResult, consumePrompts } from '../../workflows/consume.js';
import type { MonitorQueueInput, MonitorQueueResult, monitorQueue } from '../../workflows/monitor.js';
import { consumeWorkflowId, promptWorkflowIds } from '../../workflows/names.js';
import type { ProducePromptsInput, ProducePromptsResult, producePrompts } from '../../workflows/produce.js';
import { promptExecutionTimeouts } from '../../workflows/prompt-policies.js';
import type { PromptTickInput, promptTick } from '../../workflows/prompt-tick.js';

type Started<Run extends Workflow> = Promise<WorkflowHandleWithFirstExecutionRunId<Run>>;

export function startProduction(client: Client, input: ProducePromptsInput): Started<typeof producePrompts> {
  return start<ProducePromptsInput, ProducePromptsResult>(client, input, {
    ...{ type: 'producePrompts', kind: 'produce', workflowId: promptWorkflowIds.produce },
  });
}

export function startConsumption(client: Client, input: ConsumePromptsInput): Started<typeof consumePrompts> {
  return start<ConsumePromptsInput, ConsumePromptsResult>(client, input, {
    ...{ type: 'consumePrompts', kind: 'consume', workflowId: consumeWorkflowId(input.wrapper) },
  });
}

export function startMonitoring(client: Client, input: MonitorQueueInput): Started<typeof monitorQueue> {
  return start<MonitorQueueInput, MonitorQueueResult>(client, input, {
    ...{ type: 'monitorQueue', kind: 'monitor', workflowId: promptWorkflowIds.monitor },
  });
}

export function startCleaning(client: Client, input: CleanQueueInput): Started<typeof cleanQueue> {
  return start<CleanQueueInput, CleanQueueResult>(client, input, {
    ...{ type: 'cleanQueue', kind: 'clean', workflowId: promptWorkflowIds.clean },
  });
}

export async function startTickOf(client: Client, input: PromptTickInput): Started<typeof promptTick> {
  return client.workflow.start<typeof promptTick>('promptTick', {
    taskQueue: towerQueue,
    workflowId: `prompt-tick/by-hand-${input.kind}-${randomUUID()}`,
    workflowExecutionTimeout: promptExecutionTimeouts[input.kind],
    staticSummary: `${input.kind}, started by hand`,
    args: [input],
  });
}

async function start<Input, Result>(
  client: Client,
  input: Input,
  run: { readonly type: string; readonly kind: keyof typeof promptExecutionTimeouts; readonly workflowId: string },
): Started<(input: Input) => Promise<Result>> {
  const { workflowId, kind } = run;
  try {
    return await client.workflow.start<(input: Input) => Promise<Result>>(run.type, {
      ...{ taskQueue: towerQueue, workflowId, workflowExecutionTimeout: promptExecutionTimeouts[kind] },
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      workflowIdConflictPolicy: WorkflowIdConflictPolicy.FAIL,
      staticSummary: `${kind}, started by hand`,
      args: [input],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    throw new TowerError('ALREADY_RUNNING', `${workflowId} is running already`, {
      cause: error,
      next: `\`tower watch ${workflowId}\` shows it; \`tower cancel ${workflowId}\` ends it.`,
    });
  }
}
