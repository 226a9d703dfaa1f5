import type { CycleReport } from './cycle-report.js';
import { countText, lossText, spanText, timeText } from './format.js';
import { html, type Html } from './html.js';
import { batchesSection, deliverySection, evaluationSection, timingSection, trainingSection } from './sections.js';
import { style } from './style.js';

/** One self-contained page: no scripts, nothing fetched. The same report gives the same page. */
export function renderReport(report: CycleReport, { towerVersion }: { readonly towerVersion: string }): string {
  const { cycle, run, logicalTime, simulated } = report;
  const title = `Daily cycle of ${timeText(logicalTime)}`;
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          ${style}
        </style>
      </head>
      <body>
        <main>
          <header>
            <p class="over">Tower${run === null ? '' : `, ${run.version}`}</p>
            <h1>
              ${title}
              <span class="pill ${toneOf(cycle?.outcome)}"
                >${cycle?.outcome ?? (cycle === null ? 'no cycle of its own' : 'running')}</span
              >
            </h1>
            ${cycle?.reason == null ? null : html`<p class="why">${cycle.reason}</p>`}
            ${simulated ? html`<div class="simulated">simulated: this adapter comes from the simulated trainer and knows nothing</div>` : null}
          </header>
          <div class="figures">${figures(report)}</div>
          ${batchesSection(report)} ${trainingSection(report)} ${evaluationSection(report)} ${deliverySection(report)}
          ${timingSection(report)}
          <footer>Written by Tower ${towerVersion} from the ledger and the run's own records.</footer>
        </main>
      </body>
    </html> `;
  return page.markup;
}

function figures({ batchesIn, training, cycle, run }: CycleReport): Html[] {
  const rows = batchesIn.reduce((sum, { lines }) => sum + lines, 0);
  const refused = batchesIn.reduce((sum, { quarantinedRows }) => sum + quarantinedRows, 0);
  return [
    figure(countText(batchesIn.length), 'batches in'),
    figure(countText(rows), 'rows in'),
    figure(countText(refused), 'rows quarantined'),
    ...(run === null ? [] : [figure(countText(run.trainSamples), 'training samples')]),
    ...(training?.settled == null ? [] : [figure(lossText(training.settled.heldOutLoss), 'held-out loss')]),
    figure(spanText(cycle?.startedAt ?? null, cycle?.finishedAt ?? null), 'from start to end'),
  ];
}

function figure(value: string, what: string): Html {
  return html`<div class="figure"><b>${value}</b><span>${what}</span></div>`;
}

function toneOf(outcome: string | null | undefined): string {
  if (outcome === 'trained') return 'good';
  return outcome === 'failed' || outcome === 'cancelled' ? 'bad' : 'warn';
}
