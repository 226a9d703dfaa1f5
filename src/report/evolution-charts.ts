import type { CellRow } from '../syntx/learning/cell-table.js';
import type { DayScores } from './evolution-report.js';
import { niceAxis } from './axis.js';
import { html, type Html } from './html.js';
import { gridLines, lineOf, rounded, scale, type Plot } from './plot.js';

const width = 860;
const height = 250;
const plot: Plot = { left: 46, right: width - 18, top: 12, bottom: height - 34 };

/** Mean score of each day with its 95 % interval as SVG. */
export function trendChart(trend: readonly DayScores[]): Html {
  const axis = niceAxis(trend.flatMap(({ mean, low, high }) => [low ?? mean, high ?? mean]));
  const step = (plot.right - plot.left) / trend.length;
  const x = (index: number) => rounded(plot.left + (index + 0.5) * step);
  const y = scale(axis, plot);
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Mean score of each day">
    ${gridLines(axis, plot)}
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
