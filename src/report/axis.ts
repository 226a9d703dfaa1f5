export interface Axis {
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
}

/** A range that holds all values and begins and ends at round numbers, with about `count` steps of 1, 2 or 5. */
export function niceAxis(values: readonly number[], count = 5): Axis {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const span = high - low || Math.abs(high) || 1;
  const raw = span / count;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 5].find((factor) => factor * magnitude >= raw) ?? 10) * magnitude;
  const first = Math.floor(low / step);
  const last = Math.max(Math.ceil(high / step), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, index) => round((first + index) * step));
  return { from: round(first * step), to: round(last * step), ticks };
}

/** Binary fractions leave dust such as 0.30000000000000004. */
function round(value: number): number {
  return Number(value.toPrecision(12));
}
