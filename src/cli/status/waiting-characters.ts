import type { Client } from '@temporalio/client';

import { characterIdPrefix, characterSlotsWorkflowId, slotsQuery } from '../../workflows/names.js';
import type { SlotState } from '../../workflows/slot-queue.js';
import { waitingStage } from '../character/list-characters.js';
import type { RunningWorkflow } from './server-status.js';

/** A query needs a worker; without one the report says so elsewhere. */
const queryTimeoutMs = 3_000;

/** Says of each character run that waits for a place who has them, and how many wait before it. */
export async function explainWaiting(client: Client, running: RunningWorkflow[]): Promise<RunningWorkflow[]> {
  if (!running.some(({ stage }) => stage === waitingStage)) return running;
  const slots = await readSlots(client);
  if (slots === undefined) return running;
  const { holders, waiting } = slots;
  const atWork = holders.map(({ workflowId }) => workflowId.slice(characterIdPrefix.length)).join(', ');
  return running.map((workflow) => {
    const position = waiting.findIndex(({ workflowId }) => workflowId === workflow.workflowId);
    const request = waiting[position];
    if (request === undefined) return workflow;
    const before = position === 0 ? 'next in line' : `${position} wait before it`;
    const waitsFor = `${holders.length} of at most ${request.max} character runs are at work (${atWork}); ${before}`;
    return { ...workflow, waitsFor };
  });
}

async function readSlots(client: Client): Promise<SlotState | undefined> {
  try {
    return await client.connection.withDeadline(Date.now() + queryTimeoutMs, () =>
      client.workflow.getHandle(characterSlotsWorkflowId).query<SlotState>(slotsQuery),
    );
  } catch {
    // Nobody answers: the reason for waiting is a detail, and the rest of the report does not depend on it.
    return undefined;
  }
}
