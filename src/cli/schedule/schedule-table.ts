import type { ScheduleStatus } from '../../temporal/schedules/list-schedules.js';
import { agoText, localTime } from '../durations.js';
import { tableText } from '../table.js';

/** Schedules as a table; lost runs and notes stand where they are seen. */
export function scheduleTable(schedules: readonly ScheduleStatus[], now: Date): string {
  const header = ['NAME', 'STATE', 'CRON', 'NEXT', 'LAST', 'RUNS', 'MISSED', 'SKIPPED', 'NOTE'];
  return tableText(
    header,
    schedules.map((schedule) => rowOf(schedule, now)),
  );
}

function rowOf(schedule: ScheduleStatus, now: Date): string[] {
  const { name, state, cron, timezone, nextTimes, lastTime, taken, missed, skipped, note } = schedule;
  const next = nextTimes[0];
  return [
    name,
    state,
    `${cron.join('; ')} ${timezone}`,
    next === undefined ? '-' : `${localTime(next)} (${agoText(next, now)})`,
    lastTime === null ? 'never' : localTime(lastTime),
    String(taken),
    String(missed),
    String(skipped),
    note,
  ];
}
