import type { Axis } from './axis.js';
import { html, type Html } from './html.js';

/** Where in an SVG values are drawn. */
export interface Plot {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** How far down a value stands. */
export function scale({ from, to }: Axis, { top, bottom }: Plot): (value: number) => number {
  return (value) => rounded(bottom - ((value - from) / (to - from)) * (bottom - top));
}

/** A line with its number for each tick. */
export function gridLines(axis: Axis, plot: Plot): Html[] {
  const { left, right } = plot;
  const y = scale(axis, plot);
  return axis.ticks.map(
    (tick) =>
      html`<line class="grid" x1="${left}" x2="${right}" y1="${y(tick)}" y2="${y(tick)}" />
        <text class="axis" x="${left - 8}" y="${y(tick) + 4}" text-anchor="end">${tick}</text>`,
  );
}

export function lineOf(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${x} ${y}`).join(' ');
}

export function rounded(value: number): number {
  return Number(value.toFixed(1));
}
