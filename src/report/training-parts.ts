import { spanText, timeText } from './format.js';
import { html, type Html } from './html.js';
import { lossChart, type LossCurve } from './loss-chart.js';
import type { LaunchRecord } from './training-record.js';

/** The losses of a training with their legend; `label` says what a point of the training loss is. */
export function lossFigure(curve: LossCurve | undefined, label: string): Html {
  if (curve === undefined || curve.training.length === 0) return html`<p class="soft">No step was recorded.</p>`;
  return html`${lossChart(curve)}
    <div class="legend">
      <span><i></i>${label}</span>
      ${curve.heldOut.length === 0 ? null : html`<span><i class="dot"></i>held-out loss</span>`}
      ${curve.resumedAfter.length === 0 ? null : html`<span><i class="dash"></i>trainer started again</span>`}
    </div>`;
}

/** Every start of the trainer, and how it ended. */
export function launchTable(launches: readonly LaunchRecord[]): Html | null {
  if (launches.length === 0) return null;
  return html`<h3>Starts of the trainer</h3>
    <table>
      <tr>
        <th class="number">No.</th>
        <th>Started</th>
        <th>Took</th>
        <th class="number">From step</th>
        <th>End</th>
      </tr>
      ${launches.map(
        ({ number, startedAt, endedAt, resumedFrom, end }) =>
          html`<tr>
            <td class="number">${number}</td>
            <td class="time">${timeText(startedAt)}</td>
            <td class="time">${spanText(startedAt, endedAt)}</td>
            <td class="number">${resumedFrom}</td>
            <td>${end}</td>
          </tr>`,
      )}
    </table>`;
}
