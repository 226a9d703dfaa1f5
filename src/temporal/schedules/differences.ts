import { isDeepStrictEqual } from 'node:util';

import type { CalendarSpec, ScheduleDescription } from '@temporalio/client';

import type { DefinedSchedule } from './schedule-options.js';

export interface ScheduleDifference {
  readonly setting: string;
  readonly found: unknown;
  readonly wanted: unknown;
}

/** In which settings a schedule on the server differs from its declaration. */
export function differencesOf(description: ScheduleDescription, wanted: DefinedSchedule): ScheduleDifference[] {
  const found = comparable(description);
  return Object.entries(comparable(wanted))
    .filter(([setting, value]) => !isDeepStrictEqual(found[setting], value))
    .map(([setting, value]) => ({ setting, found: found[setting], wanted: value }));
}

/** The same settings in the same form from both sides; absent and empty are one. */
function comparable({ spec, action, policies }: ScheduleDescription | DefinedSchedule): Record<string, unknown> {
  return {
    calendars: (spec.calendars ?? []).map(textOf).sort(),
    intervals: spec.intervals ?? [],
    skip: spec.skip ?? [],
    startAt: spec.startAt?.toISOString() ?? null,
    endAt: spec.endAt?.toISOString() ?? null,
    jitter: spec.jitter ?? 0,
    timezone: spec.timezone ?? 'UTC',
    workflowType: action.workflowType,
    taskQueue: action.taskQueue,
    workflowId: action.workflowId,
    args: action.args ?? [],
    executionTimeout: action.workflowExecutionTimeout ?? 0,
    summary: action.staticSummary ?? null,
    overlap: policies.overlap,
    catchupWindow: policies.catchupWindow,
    pauseOnFailure: policies.pauseOnFailure ?? false,
  };
}

const wholeRanges: Readonly<Record<string, string>> = {
  second: '0-0/1',
  dayOfMonth: '1-31/1',
  dayOfWeek: 'SUNDAY-SATURDAY/1',
};

function textOf(calendar: CalendarSpec): string {
  const { second, minute, hour, dayOfMonth, month, year, dayOfWeek, comment } = calendar;
  const fields = { second, minute, hour, dayOfMonth, month, year, dayOfWeek };
  const texts = Object.entries(fields).map(([field, value]) => `${field} ${rangesOf(field, value)}`);
  return [...texts, comment ?? ''].join('; ');
}

function rangesOf(field: string, value: CalendarSpec[keyof CalendarSpec]): string {
  if (value === undefined || value === '*' || value === 0) return wholeRanges[field] ?? '';
  if (!Array.isArray(value)) return JSON.stringify(value);
  return value
    .map((range) => (typeof range === 'object' ? `${range.start}-${range.end}/${range.step}` : String(range)))
    .join(',');
}
