/** Workflow ids and types that clients, schedules and people use. */

export const dailyCycleWorkflowId = 'daily-cycle';

export function deliverAdapterWorkflowId(version: string): string {
  return `deliver-adapter/${version}`;
}
