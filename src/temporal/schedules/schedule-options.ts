import type { CalendarSpec, ScheduleOptions, ScheduleOptionsStartWorkflowAction } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';

import { towerQueue } from '../task-queues.js';
import { calendarsOfCron } from './cron.js';
import type { DeclaredSchedule } from './declaration.js';

/** Marks a schedule as Tower's: only such ones are changed or deleted. */
export const ownerMemo = { owner: 'tower' } as const;

/** What a declaration says to the server; the parts that a person may change (pause, note) are not in it. */
export type DefinedSchedule = Required<
  Pick<ScheduleOptions<ScheduleOptionsStartWorkflowAction<Workflow>>, 'spec' | 'action' | 'policies'>
> & { readonly spec: { readonly calendars: CalendarSpec[] } };

/** Every setting is explicit: the server's defaults are not ours (a catch-up of one year, for one). */
export function definitionOf(declared: DeclaredSchedule): DefinedSchedule {
  return {
    spec: {
      calendars: declared.cron.flatMap(calendarsOfCron),
      intervals: [],
      skip: [],
      timezone: declared.timezone,
    },
    action: {
      type: 'startWorkflow',
      workflowType: declared.workflowType,
      taskQueue: towerQueue,
      // The server appends the scheduled time.
      workflowId: declared.id,
      args: declared.args,
      workflowExecutionTimeout: declared.executionTimeout,
      staticSummary: declared.summary,
    },
    policies: {
      overlap: declared.overlap.policy,
      catchupWindow: declared.catchup.window,
      pauseOnFailure: false,
    },
  };
}
