import type { Client } from '@temporalio/client';

import type { Output } from '../output.js';
import type { WorkflowOutcome } from '../runs/workflow-outcome.js';
import { runOfWorkflow, shortIdOf } from './character-id.js';

/** Of runs whose images come to nothing, with all their tries used up or none that helps. */
const endsTheSameWay: ReadonlySet<string> = new Set(['TOO_FEW_IMAGES', 'IMAGES_ALL_REJECTED']);

/** Says of a run that did not complete how it goes on from what it has, if it has anything. */
export async function sayHowToGoOn(
  client: Client,
  { workflowId, status, failure }: Pick<WorkflowOutcome, 'workflowId' | 'status' | 'failure'>,
  output: Output,
): Promise<void> {
  if (failure !== null && endsTheSameWay.has(failure.code)) return;
  if (status === 'completed' || (await runOfWorkflow(client, workflowId)) === undefined) return;
  output.say(`\`tower character start --run ${shortIdOf(workflowId)}\` goes on from what it has.`);
}
