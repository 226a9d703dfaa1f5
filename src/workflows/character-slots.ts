import {
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  getExternalWorkflowHandle,
  log,
  proxyActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';

import type { CharacterTowerActivities, SlotRequest } from '../activities/character/interfaces.js';
import { releaseSlotSignal, requestSlotSignal, slotGrantedSignal, slotsQuery } from './names.js';
import { briefPolicy } from './policies.js';
import { SlotQueue, type SlotState } from './slot-queue.js';

const requestSlot = defineSignal<[SlotRequest]>(requestSlotSignal);
const releaseSlot = defineSignal<[string]>(releaseSlotSignal);
const slotGranted = defineSignal<[number]>(slotGrantedSignal);
const slots = defineQuery<SlotState>(slotsQuery);

const tower = proxyActivities<CharacterTowerActivities>(briefPolicy);

/** A holder that ended without giving its place back (terminated, deleted) is noticed within this. */
const lookPeriod = { whileOthersWait: '30 seconds', otherwise: '10 minutes' } as const;

/**
 * `characterSlots`: how many character runs are at work at once (`character.maxConcurrent`). It is started by the first run
 * that asks for a place, and ends when nobody holds or wants one.
 */
export async function characterSlots(state: SlotState = { holders: [], waiting: [] }): Promise<void> {
  const queue = new SlotQueue(state);
  let asked = false;
  let looks = false;
  setHandler(requestSlot, (request) => {
    queue.request(request);
    asked = true;
  });
  setHandler(releaseSlot, (workflowId) => queue.release(workflowId));
  setHandler(slots, () => queue.state);
  // The request that has started this workflow comes with it.
  await condition(() => asked || !queue.isEmpty);
  while (!queue.isEmpty) {
    asked = false;
    for (const granted of queue.takeGrants()) await grant(queue, granted);
    if (looks || queue.state.waiting.length > 0) await dropClosed(queue);
    if (queue.isEmpty || queue.hasNews || asked) continue;
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof characterSlots>(queue.state);
    const news = () => asked || queue.isEmpty || queue.hasNews || workflowInfo().continueAsNewSuggested;
    const period = queue.state.waiting.length > 0 ? lookPeriod.whileOthersWait : lookPeriod.otherwise;
    looks = !(await condition(news, period));
  }
}

async function grant(queue: SlotQueue, { workflowId, number }: SlotRequest): Promise<void> {
  try {
    await getExternalWorkflowHandle(workflowId).signal(slotGranted, number);
  } catch (error) {
    log.warn('a character run that had asked for a place is gone', { workflowId, error: String(error) });
    queue.release(workflowId);
  }
}

async function dropClosed(queue: SlotQueue): Promise<void> {
  const { holders, waiting } = queue.state;
  const workflowIds = [...holders, ...waiting].map(({ workflowId }) => workflowId);
  for (const closed of await tower.closedWorkflows({ workflowIds })) queue.release(closed);
}
