import type { Benchmark, Round } from './benchmarks.js';
import type { SideResult } from './side.js';

export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly bound: 'at least' | 'at most';
  readonly unit: '' | 'MiB' | 'ms' | 's' | '%' | 'KiB';
  readonly ok: boolean;
}

export interface Verdict {
  readonly benchmark: string;
  /** Rows or bytes. */
  readonly size: number;
  readonly rounds: readonly Round[];
  readonly figures: readonly Figure[];
  readonly ok: boolean;
}

/** Speed is the median over the rounds of what each pair says; memory and blocks count at their worst. */
export function judge({ name, limits }: Benchmark, size: number, rounds: readonly Round[]): Verdict {
  const worst = (value: (side: SideResult) => number) => Math.max(...rounds.map(({ tower }) => value(tower)));
  const speed = median(rounds.map(({ bare, tower }) => bare.seconds / tower.seconds));
  const figures: Figure[] = [
    atLeast('speed, bare = 1', speed, limits.speed, ''),
    atMost('memory growth', worst((side) => side.memoryGrowth) / 2 ** 20, limits.memoryGrowth / 2 ** 20, 'MiB'),
    atMost(
      'longest block of the event loop',
      worst((side) => side.longestBlock),
      limits.longestBlock,
      'ms',
    ),
  ];
  return { benchmark: name, size, rounds, figures, ok: figures.every(({ ok }) => ok) };
}

export function atLeast(what: string, value: number, limit: number, unit: Figure['unit']): Figure {
  return { what, value, limit, bound: 'at least', unit, ok: value >= limit };
}

export function atMost(what: string, value: number, limit: number, unit: Figure['unit']): Figure {
  return { what, value, limit, bound: 'at most', unit, ok: value <= limit };
}

/** Of a table: what, found, limit, whether it is kept. */
export function figureRow({ what, value, limit, bound, unit, ok }: Figure): string[] {
  const sign = bound === 'at least' ? '≥' : '≤';
  return [what, `${value.toFixed(2)} ${unit}`, `${sign} ${limit} ${unit}`, ok ? 'ok' : 'MISSED'];
}

/** @param share - 0.5 is the median, 0.99 what all but a hundredth stay below. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? NaN) + (sorted[Math.floor(middle)] ?? NaN)) / 2;
}
