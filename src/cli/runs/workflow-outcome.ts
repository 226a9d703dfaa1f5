import { type Client, WorkflowFailedError } from '@temporalio/client';

import { durationText } from '../durations.js';
import { resultLines } from './result-lines.js';
import { failureOf, type FailureText } from './workflow-failure.js';
import type { WorkflowSnapshot, WorkflowStatus } from './workflow-snapshot.js';

/** How a workflow ended. Times are ISO 8601 UTC. */
export interface WorkflowOutcome {
  readonly workflowId: string;
  readonly runId: string;
  readonly type: string;
  readonly status: WorkflowStatus;
  readonly stage: string | null;
  readonly startedAt: string;
  readonly closedAt: string | null;
  /** What the workflow returned; `null` unless it completed. */
  readonly result: unknown;
  /** Why it did not complete; `null` when it did. */
  readonly failure: FailureText | null;
}

/** The outcome of a workflow that a snapshot shows closed. */
export async function outcomeOf(client: Client, snapshot: WorkflowSnapshot): Promise<WorkflowOutcome> {
  const { workflowId, runId, type, status, stage, startedAt, closedAt } = snapshot;
  const known = { workflowId, runId, type, status, stage, startedAt, closedAt };
  try {
    const handle = client.workflow.getHandle(workflowId, runId, { followRuns: false });
    return { ...known, result: (await handle.result()) as unknown, failure: null };
  } catch (error) {
    if (!(error instanceof WorkflowFailedError)) throw error;
    return { ...known, result: null, failure: failureOf(error.cause) };
  }
}

/** How it ended and, when it completed, what came of it; one fact a line. */
export function outcomeText(outcome: WorkflowOutcome): string {
  const { workflowId, status, stage, failure, closedAt, startedAt } = outcome;
  const took = closedAt === null ? '' : ` after ${durationText(Date.parse(closedAt) - Date.parse(startedAt))}`;
  if (failure === null) return [`${workflowId}: ${status}${took}`, ...resultLines(outcome)].join('\n');
  const where = stage === null || stage === 'done' ? '' : ` at stage ${stage}`;
  if (status === 'cancelled') return `${workflowId}: ${status}${took}${where}`;
  const next = failure.next === null ? '' : `\nnext  ${failure.next}`;
  return `${workflowId}: ${status}${took}${where}: ${failure.message} [${failure.code}]${next}`;
}
