import { WorkflowNotFoundError } from '@temporalio/client';

import { towerQueue } from '../../temporal/task-queues.js';
import { waitingReasons } from '../../temporal/waiting-reasons.js';
import { characterSlotsWorkflowId, releaseSlotSignal, requestSlotSignal } from '../../workflows/names.js';
import { checked } from '../inputs.js';
import { isWorkflowOpen } from '../reap-orphans.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { slotReleaseSchema, slotRequestSchema, waitingReasonsSchema, workflowIdsSchema } from './inputs.js';
import type { CharacterTowerActivities } from './interfaces.js';

/** Activities of the Character LoRA on the `tower` queue: the places for runs at work. */
export function createCharacterTowerActivities({
  client,
}: Pick<WorkerEnvironment, 'client'>): CharacterTowerActivities {
  return {
    async requestSlot(input) {
      const request = checked(slotRequestSchema, input);
      await client.workflow.signalWithStart('characterSlots', {
        taskQueue: towerQueue,
        workflowId: characterSlotsWorkflowId,
        signal: requestSlotSignal,
        signalArgs: [request],
        args: [],
        staticSummary: 'Places for character runs at work',
      });
    },

    async releaseSlot(input) {
      const { workflowId } = checked(slotReleaseSchema, input);
      try {
        await client.workflow.getHandle(characterSlotsWorkflowId).signal(releaseSlotSignal, workflowId);
      } catch (error) {
        // It ends when nobody holds a place, and a deleted database has none either.
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      }
    },

    async closedWorkflows(input) {
      const { workflowIds } = checked(workflowIdsSchema, input);
      const closed: string[] = [];
      for (const workflowId of workflowIds) {
        if (!(await isWorkflowOpen(client, workflowId))) closed.push(workflowId);
      }
      return closed;
    },

    async waitingReasons(input) {
      const { workflowId } = checked(waitingReasonsSchema, input);
      const reasons = await waitingReasons(client, workflowId);
      // In a second attempt this very activity is pending too, with what its first ended with.
      return reasons.filter(({ activity }) => activity !== 'waitingReasons');
    },
  };
}
