/** Clock of the wall in a time zone. */
export interface WallClock {
  readonly year: string;
  readonly month: string;
  readonly day: string;
  readonly hour: string;
  readonly minute: string;
  readonly second: string;
}

const formats = new Map<string | undefined, Intl.DateTimeFormat>();

/** @param timeZone IANA name; default: the zone of this machine, as for the original's scripts. */
export function wallClock(instant: Date, timeZone?: string): WallClock {
  let format = formats.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      ...(timeZone !== undefined && { timeZone }),
      ...{ hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit' },
      ...{ hour: '2-digit', minute: '2-digit', second: '2-digit' },
    });
    formats.set(timeZone, format);
  }
  const parts = Object.fromEntries(format.formatToParts(instant).map(({ type, value }) => [type, value]));
  const part = (name: string) => parts[name] ?? '';
  return {
    ...{ year: part('year').padStart(4, '0'), month: part('month'), day: part('day') },
    ...{ hour: part('hour'), minute: part('minute'), second: part('second') },
  };
}

/**
 * Local time without a zone, as the queue's metadata has it (contract syntx 1.4): `2026-01-05T04:00:10.464000`; the fraction is
 * left out when it is exactly 0, as Python does.
 */
export function localTimestamp(instant: Date, timeZone?: string): string {
  const { year, month, day, hour, minute, second } = wallClock(instant, timeZone);
  const milliseconds = millisecondsOf(instant);
  const fraction = milliseconds === 0 ? '' : `.${String(milliseconds).padStart(3, '0')}000`;
  return `${year}-${month}-${day}T${hour}:${minute}:${second}${fraction}`;
}

/** `2026-01-05 04:00`, as the hourly log has it. */
export function localMinute(instant: Date, timeZone?: string): string {
  const { year, month, day, hour, minute } = wallClock(instant, timeZone);
  return `${year}-${month}-${day} ${hour}:${minute}`;
}

const isoPattern = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?$/;

/**
 * The instant of an ISO 8601 time, local unless it names an offset. In the hour that a clock set back has twice it is one
 * of the two.
 *
 * @returns milliseconds since 1970, or `undefined` for anything else.
 */
export function instantOf(text: unknown, timeZone?: string): number | undefined {
  const match = typeof text === 'string' ? isoPattern.exec(text) : null;
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '0', offset] = match;
  const asUtc =
    Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second)) +
    Number(fraction.slice(0, 3).padEnd(3, '0'));
  if (Number.isNaN(asUtc)) return undefined;
  if (offset !== undefined) return asUtc - offsetMs(offset);
  // The offset at the wrong instant is right, or becomes right, except within a change of the clock.
  const guess = asUtc - zoneOffsetMs(asUtc, timeZone);
  return asUtc - zoneOffsetMs(guess, timeZone);
}

function offsetMs(offset: string): number {
  if (offset === 'Z') return 0;
  const minutes = Number(offset.slice(1, 3)) * 60 + Number(offset.slice(-2));
  return (offset.startsWith('-') ? -minutes : minutes) * 60_000;
}

function zoneOffsetMs(instant: number, timeZone: string | undefined): number {
  const date = new Date(instant);
  const { year, month, day, hour, minute, second } = wallClock(date, timeZone);
  const wall = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute), Number(second));
  return wall + millisecondsOf(date) - instant;
}

function millisecondsOf(instant: Date): number {
  return ((instant.getTime() % 1000) + 1000) % 1000;
}
