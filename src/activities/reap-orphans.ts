import { type Client, WorkflowNotFoundError } from '@temporalio/client';

import { reapRuns } from '../training/reap-runs.js';
import type { RunOwner } from '../training/run-owner.js';
import type { WorkerEnvironment } from './worker-environment.js';

/**
 * Stops every trainer of this host whose workflow is closed or unknown. A server that does not answer proves nothing: the
 * trainer is left alone then.
 *
 * @returns the ids of the runs that were stopped.
 */
export async function reapOrphans({ client, config, paths, log }: WorkerEnvironment): Promise<readonly string[]> {
  const isWorkflowAlive = ({ workflowId, workflowRunId }: RunOwner) =>
    isWorkflowOpen(client, workflowId, workflowRunId);
  const reaped = await reapRuns(
    {
      runsDirectory: paths.runs,
      isWorkflowAlive,
      graceMs: config.gpu.stopGraceSeconds * 1000,
      python: config.gpu.python,
    },
    { log },
  );
  return reaped.stopped;
}

/** Whether a workflow, or this execution of it, is open. @throws when the server does not answer. */
export async function isWorkflowOpen(client: Client, workflowId: string, runId?: string): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(workflowId, runId).describe();
    return status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
