import type { Client } from '@temporalio/client';

import type { DeclaredSchedule } from './declaration.js';
import { describeSchedule } from './plan-changes.js';

/** One line of `tower schedule list`. Times are ISO 8601 in UTC. */
export interface ScheduleStatus {
  readonly id: string;
  readonly name: string;
  /** `absent`: declared, but not on the server yet. */
  readonly state: 'active' | 'paused' | 'disabled' | 'absent';
  readonly note: string;
  readonly cron: readonly string[];
  readonly timezone: string;
  /** Up to ten; empty while paused, because nothing will happen then. */
  readonly nextTimes: readonly string[];
  readonly lastTime: string | null;
  readonly runningWorkflowIds: readonly string[];
  readonly taken: number;
  /** Runs lost because the server was away longer than the catch-up window. */
  readonly missed: number;
  /** Runs lost because an earlier one was still going on. */
  readonly skipped: number;
}

/** What became of every declared schedule, in the order of the declarations. */
export async function listSchedules(
  client: Client,
  declarations: readonly DeclaredSchedule[],
): Promise<ScheduleStatus[]> {
  return Promise.all(declarations.map((declared) => statusOf(client, declared)));
}

async function statusOf(client: Client, declared: DeclaredSchedule): Promise<ScheduleStatus> {
  const { id, name, cron, timezone, enabled } = declared;
  const description = await describeSchedule(client, id);
  const info = description?.info;
  const paused = description?.state.paused === true;
  const present = paused ? 'paused' : 'active';
  return {
    id,
    name,
    state: description === undefined ? (enabled ? 'absent' : 'disabled') : present,
    note: description?.state.note ?? '',
    cron,
    timezone,
    nextTimes: paused ? [] : (info?.nextActionTimes ?? []).map((time) => time.toISOString()),
    lastTime: info?.recentActions.at(-1)?.takenAt.toISOString() ?? null,
    runningWorkflowIds: (info?.runningActions ?? []).map(({ workflow }) => workflow.workflowId),
    taken: info?.numActionsTaken ?? 0,
    missed: info?.numActionsMissedCatchupWindow ?? 0,
    skipped: info?.numActionsSkippedOverlap ?? 0,
  };
}
