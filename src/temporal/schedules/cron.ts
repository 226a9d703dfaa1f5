import type { CalendarSpec, DayOfWeek, Month } from '@temporalio/client';

import { TowerError } from '../../errors.js';

export const months: readonly Month[] = [
  'JANUARY',
  'FEBRUARY',
  'MARCH',
  'APRIL',
  'MAY',
  'JUNE',
  'JULY',
  'AUGUST',
  'SEPTEMBER',
  'OCTOBER',
  'NOVEMBER',
  'DECEMBER',
];
export const days: readonly DayOfWeek[] = [
  'SUNDAY',
  'MONDAY',
  'TUESDAY',
  'WEDNESDAY',
  'THURSDAY',
  'FRIDAY',
  'SATURDAY',
];

/** Inclusive, with every part given: the SDK takes a missing `end` for 1. */
interface CronRange {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

interface CronField {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** Three-letter names by value, counted from `first`. */
  readonly names?: readonly string[];
}

const fields = [
  { name: 'minute', first: 0, last: 59 },
  { name: 'hour', first: 0, last: 23 },
  { name: 'day of month', first: 1, last: 31 },
  { name: 'month', first: 1, last: 12, names: months },
  { name: 'day of week', first: 0, last: 7, names: days },
] as const satisfies readonly CronField[];

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@hourly': '0 * * * *',
};

/**
 * The calendars that a cron line of crontab(5) stands for; the line itself becomes their comment.
 *
 * As in cron, a line that restricts both day of month and day of week means either: it becomes two calendars, where
 * Temporal's own reading of such a line demands both.
 *
 * @throws TowerError `CRON_INVALID` naming the field.
 */
export function calendarsOfCron(line: string): CalendarSpec[] {
  const expression = macros[line.trim()] ?? line.trim();
  const parts = expression.split(/\s+/);
  if (parts.length !== fields.length) {
    throw invalid(line, `five fields (minute, hour, day of month, month, day of week), found ${parts.length}`);
  }
  const [minute, hour, dayOfMonth, month, dayOfWeek] = fields.map((field, index) => {
    return (parts[index] ?? '').split(',').map((item) => rangeOf(item, field, line));
  }) as [CronRange[], CronRange[], CronRange[], CronRange[], CronRange[]];
  const base = { minute, hour, month: month.map((range) => named(range, months, 1)), comment: line };
  const byDate = { dayOfMonth };
  const byWeekday = { dayOfWeek: dayOfWeek.flatMap(sundayFirst).map((range) => named(range, days, 0)) };
  const either = !isEvery(parts[2]) && !isEvery(parts[4]);
  const alternatives = either ? [byDate, byWeekday] : [{ ...byDate, ...byWeekday }];
  return alternatives.map((restriction) => ({ second: 0, dayOfMonth: '*', dayOfWeek: '*', ...base, ...restriction }));
}

function rangeOf(item: string, field: CronField, line: string): CronRange {
  const match = /^(\*|[a-z\d]+)(?:-([a-z\d]+))?(?:\/(\d+))?$/i.exec(item);
  const [, from = '', to, stepText] = match ?? [];
  const step = stepText === undefined ? 1 : Number(stepText);
  if (match === null || step < 1 || (from === '*' && to !== undefined)) {
    throw invalid(line, `${field.name} like 5, 1-5, */10 or a list of these, found ${JSON.stringify(item)}`);
  }
  if (from === '*') return { start: field.first, end: Math.min(field.last, weekEnd(field)), step };
  const start = valueOf(from, field, line);
  const end = to === undefined ? (stepText === undefined ? start : field.last) : valueOf(to, field, line);
  if (end < start) throw invalid(line, `${field.name} from a lower to a higher value, found ${JSON.stringify(item)}`);
  return { start, end, step };
}

/** Day 7 is a second name of Sunday: `*` must not count it twice. */
function weekEnd(field: CronField): number {
  return field.names === days ? 6 : field.last;
}

function valueOf(text: string, field: CronField, line: string): number {
  const position = field.names?.findIndex((name) => name.slice(0, 3) === text.toUpperCase()) ?? -1;
  const value = position >= 0 ? position + field.first : /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= field.first && value <= field.last) return value;
  throw invalid(line, `${field.name} between ${field.first} and ${field.last}, found ${JSON.stringify(text)}`);
}

/** Splits Sunday off a range that names it 7. */
function sundayFirst(range: CronRange): CronRange[] {
  if (range.end < 7) return [range];
  const sunday = { start: 0, end: 0, step: 1 };
  if (range.start === 7) return [sunday];
  const rest = { ...range, end: 6 };
  return (7 - range.start) % range.step === 0 ? [sunday, rest] : [rest];
}

function named<Name>(
  { start, end, step }: CronRange,
  names: readonly Name[],
  first: number,
): { start: Name; end: Name; step: number } {
  const [from, to] = [names[start - first], names[end - first]];
  if (from === undefined || to === undefined) throw new RangeError(`no name for ${start} to ${end}`);
  return { start: from, end: to, step };
}

function isEvery(part: string | undefined): boolean {
  return part?.startsWith('*') === true;
}

function invalid(line: string, expected: string): TowerError {
  return new TowerError('CRON_INVALID', `cron line ${JSON.stringify(line)}: expected ${expected}`);
}
