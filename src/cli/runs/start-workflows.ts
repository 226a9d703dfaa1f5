import {
  type Client,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type WorkflowHandleWithFirstExecutionRunId,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import { ApplicationFailure, WorkflowIdConflictPolicy, WorkflowIdReusePolicy } from '@temporalio/common';

import type { PauseRecord } from '../../activities/interfaces.js';
import { TowerError } from '../../errors.js';
import { towerQueue } from '../../temporal/task-queues.js';
import type { DailyCycleInput, dailyCycle } from '../../workflows/daily-cycle.js';
import type { DailyTickInput, dailyTick } from '../../workflows/daily-tick.js';
import { dailyCycleWorkflowId } from '../../workflows/names.js';
import { dailyCycleExecutionTimeout } from '../../workflows/policies.js';

export async function startCycle(
  client: Client,
  input: DailyCycleInput,
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof dailyCycle>> {
  try {
    return await client.workflow.start<typeof dailyCycle>('dailyCycle', {
      taskQueue: towerQueue,
      workflowId: dailyCycleWorkflowId,
      workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
      workflowIdConflictPolicy: WorkflowIdConflictPolicy.FAIL,
      workflowExecutionTimeout: dailyCycleExecutionTimeout,
      staticSummary: 'Daily cycle, started by hand',
      args: [input],
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    throw new TowerError('ALREADY_RUNNING', 'a daily cycle is running already', {
      cause: error,
      next: `\`tower watch ${dailyCycleWorkflowId}\` shows it; \`tower cancel ${dailyCycleWorkflowId}\` ends it.`,
    });
  }
}

export async function startTick(
  client: Client,
  input: DailyTickInput,
): Promise<WorkflowHandleWithFirstExecutionRunId<typeof dailyTick>> {
  return client.workflow.start<typeof dailyTick>('dailyTick', {
    taskQueue: towerQueue,
    workflowId: `daily-tick/by-hand-${new Date().toISOString()}`,
    workflowExecutionTimeout: dailyCycleExecutionTimeout,
    staticSummary: 'Daily tick, started by hand',
    args: [input],
  });
}

export async function pause(client: Client, workflowId: string): Promise<PauseRecord> {
  return update<PauseRecord>(client, workflowId, 'pause');
}

export async function resume(client: Client, workflowId: string): Promise<void> {
  await update<undefined>(client, workflowId, 'resume');
}

async function update<Result>(client: Client, workflowId: string, name: 'pause' | 'resume'): Promise<Result> {
  try {
    return await client.workflow.getHandle(workflowId).executeUpdate<Result, []>(name);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) {
      throw new TowerError('NOT_FOUND', `no running workflow has the id ${workflowId}`, {
        cause: error,
        next: '`tower status` lists what runs.',
      });
    }
    if (error instanceof WorkflowUpdateFailedError && error.cause instanceof ApplicationFailure) {
      const { type, message } = error.cause;
      throw new TowerError(type ?? 'UPDATE_REFUSED', message, { next: `\`tower watch ${workflowId}\` shows it.` });
    }
    throw error;
  }
}
