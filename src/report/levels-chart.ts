import { niceAxis, type Axis } from './axis.js';
import type { LevelSample } from './evolution-logs.js';
import { html, type Html } from './html.js';
import { gridLines, lineOf, rounded, scale, type Plot } from './plot.js';

type Stage = 'incoming' | 'processed' | 'error' | 'archive';

const width = 860;
const margin = { left: 64, right: 18, title: 30, hours: 24 };
const heights: Readonly<Record<Stage, number>> = { incoming: 170, processed: 64, error: 64, archive: 64 };
const stages: readonly Stage[] = ['incoming', 'processed', 'error', 'archive'];
const mostHours = 8;

/**
 * How many jobs each stage has had over the day as SVG, one picture below the other: each has a scale of its own, because an archive of
 * thousands would make lines of everything else. Waiting prompts stand between the limits that the monitor has.
 */
export function levelsChart(
  levels: readonly LevelSample[],
  limits: { readonly low: number; readonly high: number },
): Html {
  const [first, last] = [levels[0]?.at ?? 0, levels.at(-1)?.at ?? 1];
  const right = width - margin.right;
  const x = (at: number) => rounded(margin.left + ((at - first) / Math.max(1, last - first)) * (right - margin.left));
  let bottom = 0;
  const panels = stages.map((stage) => {
    const top = bottom + margin.title;
    bottom = top + heights[stage];
    return panel({ stage, levels, limits }, { left: margin.left, right, top, bottom }, x);
  });
  const hours = levels.filter((_, index) => index % Math.max(1, Math.ceil(levels.length / mostHours)) === 0);
  const height = bottom + margin.hours;
  return html`<svg
      class="chart"
      viewBox="0 0 ${width} ${height}"
      role="img"
      aria-label="Jobs in each stage over the day"
    >
      ${panels}
      ${hours.map(({ at, time }) => html`<text class="axis" x="${x(at)}" y="${height - 6}" text-anchor="middle">${time.slice(11)}</text>`)}
    </svg>
    <div class="legend">
      <span><i></i>jobs, each stage on its own scale</span>
      <span><i class="dash"></i>limits of the monitor, ${limits.low} and ${limits.high} waiting</span>
    </div>`;
}

function panel(
  { stage, levels, limits }: { stage: Stage; levels: readonly LevelSample[]; limits: { low: number; high: number } },
  plot: Plot,
  x: (at: number) => number,
): Html {
  const dashed = stage === 'incoming' ? [limits.low, limits.high] : [];
  const axis = axisOf([...dashed, ...levels.map((sample) => sample[stage])], stage);
  const y = scale(axis, plot);
  return html`<text class="axis" x="${plot.left}" y="${plot.top - 9}">${stage}</text>
    ${gridLines(axis, plot)}
    ${dashed.map(
      (limit) => html`<line class="resume" x1="${plot.left}" x2="${plot.right}" y1="${y(limit)}" y2="${y(limit)}" />`,
    )}
    <path class="smooth" d="${lineOf(levels.map((sample) => [x(sample.at), y(sample[stage])]))}" />
    <g class="interval emphasis">
      ${levels.map(
        (sample) =>
          html`<circle cx="${x(sample.at)}" cy="${y(sample[stage])}" r="${stage === 'incoming' ? 3 : 2}"
            ><title>${sample.time}: ${sample[stage]} ${stage}</title></circle
          >`,
      )}
    </g>`;
}

/** Whole numbers only: half a job is nothing to read off. */
function axisOf(counts: readonly number[], stage: Stage): Axis {
  if (stage === 'incoming') return niceAxis([0, 5, ...counts]);
  const low = Math.min(...counts);
  return niceAxis([...counts, low + 2], 2);
}
