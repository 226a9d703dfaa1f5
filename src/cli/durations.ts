import { InvalidArgumentError } from 'commander';

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * `90s`, `5m`, `1.5h`, `2d` or `500ms` in milliseconds; for options of commands.
 *
 * @throws InvalidArgumentError which commander reports as a wrong usage (exit code 2).
 */
export function parseDuration(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  if (amount === undefined || unit === undefined) {
    throw new InvalidArgumentError('Expected a number and a unit (ms, s, m, h or d), such as 90s, 5m or 1.5h.');
  }
  return Number(amount) * unitMs[unit as keyof typeof unitMs];
}

/** A duration in words a person reads at a glance: `4 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`. */
export function durationText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${pad(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${pad(minutes % 60)} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A moment in the local time zone, `2026-01-31 14:00:05`; JSON output keeps ISO 8601 UTC. */
export function localTime(moment: Date | string): string {
  const date = new Date(moment);
  if (Number.isNaN(date.getTime())) return String(moment);
  const day = [date.getFullYear(), pad(date.getMonth() + 1), pad(date.getDate())].join('-');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(':')}`;
}

/** How long ago: `20 s ago`. A moment in the future reads `in 20 s`. */
export function agoText(moment: Date | string, now: Date): string {
  const ms = now.getTime() - new Date(moment).getTime();
  return ms >= 0 ? `${durationText(ms)} ago` : `in ${durationText(-ms)}`;
}

function pad(number: number): string {
  return String(number).padStart(2, '0');
}
