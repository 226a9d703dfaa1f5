/** Workflow ids and types, and names of messages, that clients, schedules and people use. */

export const dailyCycleWorkflowId = 'daily-cycle';

export function deliverAdapterWorkflowId(version: string): string {
  return `deliver-adapter/${version}`;
}

/** Begins the id of every character run. */
export const characterIdPrefix = 'character-lora/';

export function characterWorkflowId(slug: string, version: number): string {
  return `${characterIdPrefix}${slug}/${version}`;
}

export const characterSlotsWorkflowId = 'character-slots';
export const requestSlotSignal = 'requestSlot';
export const releaseSlotSignal = 'releaseSlot';
export const slotGrantedSignal = 'slotGranted';
export const slotsQuery = 'slots';
export const approveUpdateName = 'approve';
export const reviewQueryName = 'review';

/** Ids of the prompt evolution's runs; one at a time of each. */
export const promptWorkflowIds = {
  produce: 'syntx-produce',
  monitor: 'syntx-monitor',
  clean: 'syntx-clean',
} as const;

export function consumeWorkflowId(wrapper: string): string {
  return `syntx-consume/${wrapper}`;
}
