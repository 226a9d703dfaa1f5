import { niceAxis } from './axis.js';
import { html, type Html } from './html.js';

export interface EpochLoss {
  readonly epoch: number;
  readonly loss: number;
}

const width = 860;
const height = 230;
const margin = { left: 64, right: 20, top: 14, bottom: 40 };

/** Held-out loss by epoch, with what counts as noise above the lowest one, and the chosen epoch marked. */
export function epochChart(
  losses: readonly EpochLoss[],
  { chosen, noise, epochs }: { readonly chosen: number; readonly noise: number | null; readonly epochs: number },
): Html {
  const values = losses.map(({ loss }) => loss);
  const lowest = Math.min(...values);
  const axis = niceAxis([...values, lowest + (noise ?? 0)]);
  const up = (height - margin.top - margin.bottom) / (axis.to - axis.from);
  const across = (width - margin.left - margin.right) / Math.max(1, epochs - 1);
  const x = (epoch: number) => Number((margin.left + (epochs === 1 ? 0 : (epoch - 1) * across)).toFixed(1));
  const y = (loss: number) => Number((height - margin.bottom - (loss - axis.from) * up).toFixed(1));
  const path = losses.map(({ epoch, loss }, index) => `${index === 0 ? 'M' : 'L'}${x(epoch)} ${y(loss)}`).join('');
  const every = Math.ceil(epochs / 20);
  const labels = Array.from({ length: epochs }, (_, index) => index + 1).filter((epoch) => (epoch - 1) % every === 0);
  return html`<svg class="chart" viewBox="0 0 ${width} ${height}" role="img" aria-label="Held-out loss by epoch">
    ${axis.ticks.map(
      (tick) =>
        html`<line class="grid" x1="${margin.left}" x2="${width - margin.right}" y1="${y(tick)}" y2="${y(tick)}" />
          <text class="axis" x="${margin.left - 8}" y="${y(tick) + 4}" text-anchor="end">${tick}</text>`,
    )}
    ${
      noise === null
        ? null
        : html`<rect
            class="band"
            x="${margin.left}"
            width="${width - margin.left - margin.right}"
            y="${y(lowest + noise)}"
            height="${Number((y(lowest) - y(lowest + noise)).toFixed(1))}"
          />`
    }
    <line class="chosen-line" x1="${x(chosen)}" x2="${x(chosen)}" y1="${margin.top}" y2="${height - margin.bottom}" />
    <path class="epoch" d="${path}" />
    ${losses.map(
      ({ epoch, loss }) =>
        html`<circle
          class="${epoch === chosen ? 'epoch-chosen' : 'epoch-dot'}"
          cx="${x(epoch)}"
          cy="${y(loss)}"
          r="${epoch === chosen ? 7 : 3.5}"
          ><title>epoch ${epoch}: ${loss.toFixed(5)}</title></circle
        >`,
    )}
    ${labels.map(
      (epoch) =>
        html`<text class="axis" x="${x(epoch)}" y="${height - margin.bottom + 18}" text-anchor="middle"
          >${epoch}</text
        >`,
    )}
    <text class="axis" x="${(margin.left + width - margin.right) / 2}" y="${height - 6}" text-anchor="middle">
      epoch
    </text>
  </svg>`;
}
