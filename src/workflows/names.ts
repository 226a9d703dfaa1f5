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
