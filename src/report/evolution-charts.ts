import type { CellRow } from '../syntx/learning/cell-table.js';
import type { LevelSample } from './evolution-logs.js';
import type { DayScores } from './evolution-report.js';
import { niceAxis, type Axis } from './axis.js';
import { html, type Html } from './html.js';

const width = 860;
const height = 250;
const margin = { left: 46, right: 18, top: 12, bottom: 34 };
const plotWidth = width - margin.left - margin.right;
const plotHeight = height - margin.top - margin.bottom;

/** Mean score of each day with its 95 % interval as SVG. */
export function trendChart(trend: readonly DayScores[]): Html {
  const axis = niceAxis(trend.flatMap(({ mean, low, high }) => [low ?? mean, high ?? mean]));
  const step = plotWidth / trend.length;
  const x = (index: number) => rounded(margin.left + (index + 0.5) * step);
  const y = scale(axis);
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Mean score of each day">
    ${grid(axis)}
    <path class="smooth" d="${lineOf(trend.map(({ mean }, index) => [x(index), y(mean)]))}" />
    ${trend.map(
      ({ day, mean, low, high, scores }, index) =>
        html`<g class="interval emphasis">
          ${low === null || high === null ? null : html`<line x1="${x(index)}" x2="${x(index)}" y1="${y(low)}" y2="${y(high)}" />`}
          <circle cx="${x(index)}" cy="${y(mean)}" r="4"
            ><title>${day}: ${mean.toFixed(1)} from ${scores} scores</title></circle
          >
          <text class="axis" x="${x(index)}" y="${height - 12}" text-anchor="middle">${day.slice(5)}</text>
        </g>`,
    )}
  </svg>`;
}

/** Waiting prompts over the day as SVG, between the limits that the monitor has; the other stages stand in the table. */
export function levelsChart(
  levels: readonly LevelSample[],
  { low, high }: { readonly low: number; readonly high: number },
): Html {
  const axis = niceAxis([0, high, ...levels.map(({ incoming }) => incoming)]);
  const [first, last] = [levels[0]?.at ?? 0, levels.at(-1)?.at ?? 1];
  const x = (at: number) => rounded(margin.left + ((at - first) / Math.max(1, last - first)) * plotWidth);
  const y = scale(axis);
  const labels = levels.filter((_, index) => index % Math.max(1, Math.ceil(levels.length / 8)) === 0);
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Waiting prompts over the day">
      ${grid(axis)}
      ${[low, high].map(
        (limit) =>
          html`<line
            class="resume"
            x1="${margin.left}"
            x2="${width - margin.right}"
            y1="${y(limit)}"
            y2="${y(limit)}"
          />`,
      )}
      <path class="smooth" d="${lineOf(levels.map(({ at, incoming }) => [x(at), y(incoming)]))}" />
      <g class="interval emphasis">
        ${levels.map(
          ({ at, time, incoming }) =>
            html`<circle cx="${x(at)}" cy="${y(incoming)}" r="3"><title>${time}: ${incoming}</title></circle>`,
        )}
      </g>
      ${labels.map(({ at, time }) => html`<text class="axis" x="${x(at)}" y="${height - 12}" text-anchor="middle">${time.slice(11)}</text>`)}
    </svg>
    <div class="legend">
      <span><i></i>incoming</span><span><i class="dash"></i>limits of the monitor, ${low} and ${high}</span>
    </div>`;
}

/** Styles below each other, categories beside each other; the darker, the higher the expected score. */
export function heatMap(rows: readonly CellRow[]): Html {
  const styles = [...new Set(rows.map(({ style }) => style))];
  const categories = [...new Set(rows.map(({ category }) => category))];
  const values = rows.flatMap(({ expected }) => (expected === null ? [] : [expected.value]));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return html`<div class="wide">
    <table>
      <tr>
        <th></th>
        ${categories.map((category) => html`<th>${category}</th>`)}
      </tr>
      ${styles.map(
        (style) =>
          html`<tr>
            <th>${style}</th>
            ${categories.map((category) =>
              heatCell(
                rows.find((row) => row.style === style && row.category === category),
                { low, high },
              ),
            )}
          </tr>`,
      )}
    </table>
  </div>`;
}

function heatCell(row: CellRow | undefined, { low, high }: { readonly low: number; readonly high: number }): Html {
  if (row?.expected == null) return html`<td class="soft">–</td>`;
  const { value, low: from, high: to } = row.expected;
  const share = high === low ? 0.5 : (value - low) / (high - low);
  const background = `background: color-mix(in srgb, var(--good) ${Math.round(8 + 52 * share)}%, transparent)`;
  const good = row.goodShare === null ? '' : ` · ${Math.round(100 * row.goodShare)} %`;
  return html`<td class="name" style="${background}; padding-left: 8px">
    <b>${value.toFixed(0)}</b> <span class="soft">${from.toFixed(0)}–${to.toFixed(0)}</span><br />
    <span class="soft">n ${row.draws}${good}</span>
  </td>`;
}

function grid(axis: Axis): Html[] {
  const y = scale(axis);
  return axis.ticks.map(
    (tick) =>
      html`<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${y(tick)}" y2="${y(tick)}" />
        <text class="axis" x="${margin.left - 8}" y="${y(tick) + 4}" text-anchor="end">${tick}</text>`,
  );
}

function scale({ from, to }: Axis): (value: number) => number {
  return (value) => rounded(margin.top + plotHeight * (1 - (value - from) / (to - from)));
}

function lineOf(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${x} ${y}`).join(' ');
}

function rounded(value: number): number {
  return Number(value.toFixed(1));
}
