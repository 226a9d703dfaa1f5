import { niceAxis } from './axis.js';
import { html, type Html } from './html.js';

/** A quantity with its 95 % confidence interval. */
export interface Interval {
  readonly name: string;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  readonly emphasis: boolean;
}

const width = 860;
const rowHeight = 34;
const margin = { left: 190, right: 90, top: 8, bottom: 30 };

/** Values with their intervals below each other as SVG. */
export function intervalChart(rows: readonly Interval[]): Html {
  const axis = niceAxis(rows.flatMap(({ low, high }) => [low, high]));
  const height = margin.top + rows.length * rowHeight + margin.bottom;
  const across = (width - margin.left - margin.right) / (axis.to - axis.from);
  const x = (value: number) => Number((margin.left + (value - axis.from) * across).toFixed(1));
  return html`<svg
    class="chart"
    viewBox="0 0 ${width} ${height}"
    role="img"
    aria-label="Held-out losses with intervals"
  >
    ${axis.ticks.map(
      (tick) =>
        html`<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${margin.top}" y2="${height - margin.bottom}" />
          <text class="axis" x="${x(tick)}" y="${height - 10}" text-anchor="middle">${tick}</text>`,
    )}
    ${rows.map(({ name, value, low, high, emphasis }, index) => {
      const y = margin.top + (index + 0.5) * rowHeight;
      return html`<g class="${emphasis ? 'interval emphasis' : 'interval'}">
        <text class="label" x="${margin.left - 14}" y="${y + 4}" text-anchor="end">${name}</text>
        <line x1="${x(low)}" x2="${x(high)}" y1="${y}" y2="${y}" />
        <line x1="${x(low)}" x2="${x(low)}" y1="${y - 5}" y2="${y + 5}" />
        <line x1="${x(high)}" x2="${x(high)}" y1="${y - 5}" y2="${y + 5}" />
        <circle cx="${x(value)}" cy="${y}" r="5"
          ><title>${value.toFixed(4)} (${low.toFixed(4)} to ${high.toFixed(4)})</title></circle
        >
        <text class="axis" x="${width - margin.right + 16}" y="${y + 4}">${value.toFixed(4)}</text>
      </g>`;
    })}
  </svg>`;
}
