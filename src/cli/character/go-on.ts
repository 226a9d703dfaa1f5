import type { Client } from '@temporalio/client';

import type { Output } from '../output.js';
import type { WorkflowOutcome } from '../runs/workflow-outcome.js';
import { runOfWorkflow, shortIdOf } from './character-id.js';

/** Says of a run that did not complete how it goes on from what it has, if it has anything. */
export async function sayHowToGoOn(
  client: Client,
  { workflowId, status, failure }: Pick<WorkflowOutcome, 'workflowId' | 'status' | 'failure'>,
  output: Output,
): Promise<void> {
  // All tries of its images are used up: it would end the same way.
  if (failure?.code === 'TOO_FEW_IMAGES') return;
  if (status === 'completed' || (await runOfWorkflow(client, workflowId)) === undefined) return;
  output.say(`\`tower character start --run ${shortIdOf(workflowId)}\` goes on from what it has.`);
}
