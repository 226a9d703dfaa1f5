import { wantedMinutes, type CalendarDay } from './cron-times.js';

/** One local day of a schedule. */
export interface ScheduledDay {
  /** `YYYY-MM-DD` in the schedule's time zone. */
  readonly date: string;
  readonly times: readonly ScheduledTime[];
  /** What is unlike other days: clocks that change, and local times that are skipped, shifted or come twice. */
  readonly odd: readonly string[];
}

export interface ScheduledTime {
  /** ISO 8601 UTC. */
  readonly utc: string;
  /** `HH:MM` by the clocks there. */
  readonly local: string;
  /** For example `+02:00`. */
  readonly offset: string;
}

interface LocalMoment extends ScheduledTime {
  readonly date: string;
}

const dayMs = 86_400_000;

/**
 * Sorts the times of a schedule into local days and says which days are odd. The first and the last day of the period are
 * not whole, so nothing is missed on them.
 */
export function scheduledDays(
  times: readonly Date[],
  { cron, timezone, from, to }: { cron: readonly string[]; timezone: string; from: Date; to: Date },
): ScheduledDay[] {
  const localMoment = localClock(timezone);
  const byDate = new Map<string, LocalMoment[]>();
  for (const time of times) {
    const moment = localMoment(time);
    byDate.set(moment.date, [...(byDate.get(moment.date) ?? []), moment]);
  }
  const [first, last] = [localMoment(from), localMoment(to)];
  const days: ScheduledDay[] = [];
  let offset = first.offset;
  for (const date of datesBetween(first.date, last.date)) {
    const moments = byDate.get(date) ?? [];
    const isWhole = date !== first.date && date !== last.date;
    const wanted = isWhole ? wantedMinutes(cron, dayOf(date)).map(clockText) : undefined;
    const next = moments.at(-1)?.offset ?? offset;
    const odd = [
      ...(next === offset ? [] : [`clocks change from UTC${offset} to UTC${next}`]),
      ...oddTimes(moments, wanted),
    ];
    offset = next;
    if (moments.length === 0 && odd.length === 0) continue;
    days.push({ date, times: moments.map(({ utc, local, offset }) => ({ utc, local, offset })), odd });
  }
  return days;
}

function oddTimes(moments: readonly LocalMoment[], wanted: readonly string[] | undefined): string[] {
  if (wanted === undefined) return [];
  const found = moments.map(({ local }) => local);
  const missing = wanted.filter((time) => !found.includes(time));
  const extra = found.filter((time) => !wanted.includes(time));
  const twice = [...new Set(found.filter((time, index) => found.indexOf(time) !== index))];
  return [
    ...(missing.length === 0 ? [] : [`${listText(missing)} does not exist on this day: ${skippedText(extra)}`]),
    ...(missing.length > 0 || extra.length === 0 ? [] : [`also at ${listText(extra)}`]),
    ...(twice.length === 0 ? [] : [`${listText(twice)} comes twice, and so does the run`]),
  ];
}

function skippedText(extra: readonly string[]): string {
  return extra.length === 0 ? 'skipped' : `shifted to ${listText(extra)}`;
}

function listText(times: readonly string[]): string {
  const [first, last] = [times[0] ?? '', times.at(-1) ?? ''];
  return times.length > 3 ? `${first} to ${last} (${times.length} times)` : times.join(', ');
}

function localClock(timeZone: string): (time: Date) => LocalMoment {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZoneName: 'longOffset',
  });
  return (time) => {
    const part = Object.fromEntries(format.formatToParts(time).map(({ type, value }) => [type, value]));
    return {
      utc: time.toISOString(),
      date: `${part['year']}-${part['month']}-${part['day']}`,
      local: `${part['hour']}:${part['minute']}`,
      // UTC itself is `GMT` without an offset.
      offset: /[+-].*$/.exec(part['timeZoneName'] ?? '')?.[0] ?? '+00:00',
    };
  };
}

function* datesBetween(first: string, last: string): Generator<string> {
  for (let time = Date.parse(first); time <= Date.parse(last); time += dayMs) {
    yield new Date(time).toISOString().slice(0, 10);
  }
}

function dayOf(date: string): CalendarDay {
  const [year = 0, month = 1, day = 1] = date.split('-').map(Number);
  return { year, month, day };
}

function clockText(minutes: number): string {
  return [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, '0')).join(':');
}
