import type { CycleReport } from './cycle-report.js';
import {
  batchesSection,
  deliverySection,
  evaluationSection,
  timingSection,
  trainingSection,
} from './cycle-sections.js';
import { countText, lossText, spanText, timeText } from './format.js';
import { html, type Html } from './html.js';
import { figure, renderPage } from './page.js';

/** The report of a daily cycle as one self-contained page; the same report gives the same page. */
export function renderCycleReport(report: CycleReport, { towerVersion }: { readonly towerVersion: string }): string {
  const { cycle, run, logicalTime, simulated } = report;
  const title = `Daily cycle of ${timeText(logicalTime)}`;
  return renderPage({
    title,
    header: html`<p class="over">Tower${run === null ? '' : `, ${run.version}`}</p>
      <h1>
        ${title}
        <span class="pill ${toneOf(cycle?.outcome)}"
          >${cycle?.outcome ?? (cycle === null ? 'no cycle of its own' : 'running')}</span
        >
      </h1>
      ${cycle?.reason == null ? null : html`<p class="why">${cycle.reason}</p>`}`,
    simulated: simulated ? 'this adapter comes from the simulated trainer and knows nothing' : undefined,
    figures: figures(report),
    sections: [batchesSection, trainingSection, evaluationSection, deliverySection, timingSection].map((section) =>
      section(report),
    ),
    source: "the ledger and the run's own records",
    towerVersion,
  });
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

function toneOf(outcome: string | null | undefined): string {
  if (outcome === 'trained') return 'good';
  return outcome === 'failed' || outcome === 'cancelled' ? 'bad' : 'warn';
}
