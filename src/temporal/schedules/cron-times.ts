import { calendarsOfCron, days, months } from './cron.js';

/** A day of the calendar; months from 1. */
export interface CalendarDay {
  readonly year: number;
  readonly month: number;
  readonly day: number;
}

interface Range {
  readonly start: number | string;
  readonly end: number | string;
  readonly step: number;
}

/** The local times, in minutes after midnight and ascending, that cron lines ask for on a day. */
export function wantedMinutes(lines: readonly string[], date: CalendarDay): number[] {
  const weekday = new Date(Date.UTC(date.year, date.month - 1, date.day)).getUTCDay();
  const minutes = new Set<number>();
  for (const calendar of lines.flatMap(calendarsOfCron)) {
    const fits =
      matches(calendar.month, date.month, (name) => months.findIndex((month) => month === name) + 1) &&
      matches(calendar.dayOfMonth, date.day) &&
      matches(calendar.dayOfWeek, weekday, (name) => days.findIndex((day) => day === name));
    if (!fits) continue;
    for (let minute = 0; minute < 24 * 60; minute++) {
      const wanted = matches(calendar.hour, Math.floor(minute / 60)) && matches(calendar.minute, minute % 60);
      if (wanted) minutes.add(minute);
    }
  }
  return [...minutes].sort((one, other) => one - other);
}

function matches(field: unknown, value: number, numberOf: (name: string) => number = Number): boolean {
  if (!Array.isArray(field)) return true;
  return (field as readonly Range[]).some(({ start, end, step }) => {
    const [from, to] = [start, end].map((bound) => (typeof bound === 'number' ? bound : numberOf(bound)));
    return from !== undefined && to !== undefined && value >= from && value <= to && (value - from) % step === 0;
  });
}
