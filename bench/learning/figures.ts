import { scoresPerDay } from './scenarios.js';
import type { Draw } from './simulate.js';

/** What all worlds of a kind say about a policy. Shares: 0 is drawing at random, 1 is always drawing the best cell. */
export interface LearningFigures {
  readonly share: number;
  /** Of the worst world. */
  readonly worstShare: number;
  /** Cells that were drawn at least once, in the average window of ten days. */
  readonly cellsInTenDays: number;
  /** Share of the last 100 of the first 300 scores after the landscape was replaced. */
  readonly shareAfter300: number;
  /** How many scores after that it took until the last 100 had a share of 90 %; `null`: never. */
  readonly scoresTo90: number | null;
}

const window = 10 * scoresPerDay;
const recent = 100;
const step = 20;

export function figuresOf(worlds: readonly (readonly Draw[])[]): LearningFigures {
  const total = worlds[0]?.length ?? 0;
  const half = total / 2;
  const during = (from: number, to: number) => shareOf(worlds.flatMap((draws) => draws.slice(from, to)));
  return {
    share: during(0, total),
    worstShare: Math.min(...worlds.map(shareOf)),
    cellsInTenDays: mean(worlds.flatMap(cellsInWindows)),
    shareAfter300: during(half + 300 - recent, half + 300),
    scoresTo90: firstGood((end) => during(end - recent, end), half, total),
  };
}

function shareOf(draws: readonly Draw[]): number {
  const gained = draws.reduce((sum, { expected, average }) => sum + expected - average, 0);
  return gained / draws.reduce((sum, { best, average }) => sum + best - average, 0);
}

/** In every window of ten days that begins with a day; a course that is shorter is one window. */
function cellsInWindows(draws: readonly Draw[]): number[] {
  const windows = Math.max(0, Math.floor((draws.length - window) / scoresPerDay)) + 1;
  return Array.from({ length: windows }, (_, day) => {
    const start = day * scoresPerDay;
    return new Set(draws.slice(start, start + window).map(({ cell }) => cell)).size;
  });
}

function firstGood(share: (end: number) => number, from: number, to: number): number | null {
  for (let end = from + recent; end <= to; end += step) if (share(end) >= 0.9) return end - from;
  return null;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
