import type { BatchRecord } from '../signz-mind/ledger/batches.js';
import type { CycleReport } from './cycle-report.js';
import { bytesText, countText, lossText } from './format.js';
import { html, type Html } from './html.js';
import { intervalChart, type Interval } from './interval-chart.js';
import { timingTable } from './timing-table.js';
import { launchTable, lossFigure } from './training-parts.js';

/** Batches that came in, with what became of their rows. */
export function batchesSection({ batchesIn, quarantined, trainedBatches }: CycleReport): Html {
  const marked = trainedBatches.filter(({ state }) => state === 'marked').length;
  return html`<section class="long">
    <h2>Batches</h2>
    ${
      batchesIn.length === 0
        ? html`<p class="soft">No batch came in.</p>`
        : html`<div class="wide">
            <table>
              <tr>
                <th>Batch</th>
                <th>State</th>
                <th class="number">Rows in</th>
                <th class="number">Stored</th>
                <th class="number">Superseded</th>
                <th class="number">Quarantined</th>
                <th>Why it stands there</th>
              </tr>
              ${batchesIn.map(batchRow)}
            </table>
          </div>`
    }
    ${
      trainedBatches.length === 0
        ? null
        : html`<p class="soft">
            Out: ${trainedBatches.length} batches are in the training set, ${marked} of them marked on the server.
          </p>`
    }
    ${
      quarantined.length === 0
        ? null
        : html`<h3>Quarantined rows</h3>
            <div class="wide">
              <table>
                <tr>
                  <th>Batch</th>
                  <th class="number">Line</th>
                  <th>Reason</th>
                  <th>Start of the line</th>
                </tr>
                ${quarantined.map(
                  ({ batch, line, reason, excerpt }) =>
                    html`<tr>
                      <td class="batch">${batch}</td>
                      <td class="number">${line}</td>
                      <td class="why">${reason}</td>
                      <td><code>${excerpt.slice(0, 120)}</code></td>
                    </tr>`,
                )}
              </table>
            </div>`
    }
  </section>`;
}

function batchRow(batch: BatchRecord): Html {
  const imported = batch.importedAt !== null;
  const counts = [
    batch.lines,
    batch.newRows + batch.updatedRows - batch.replacedRows,
    batch.staleRows + batch.duplicateRows + batch.replacedRows,
    batch.quarantinedRows,
  ];
  return html`<tr>
    <td class="batch">${batch.name}</td>
    <td class="name ${imported ? '' : 'bad'}">${batch.state}</td>
    ${counts.map((count) => html`<td class="number">${imported ? countText(count) : '–'}</td>`)}
    <td class="why">${batch.settledReason ?? batch.reason ?? ''}</td>
  </tr>`;
}

/** The training: what it learned from, its loss, and every start of the trainer. */
export function trainingSection({ run, training }: CycleReport): Html | undefined {
  if (run === null) return undefined;
  const { curve, launches, settled, facts } = training ?? { curve: undefined, launches: [], settled: null, facts: {} };
  return html`<section>
    <h2>Training</h2>
    ${lossFigure(curve, 'training loss')}
    <h3>Facts</h3>
    <dl>
      <dt>Training set</dt>
      <dd>${countText(run.trainSamples)} samples, ${countText(run.heldOutSamples)} held out</dd>
      ${
        settled === null
          ? null
          : html`<dt>Steps</dt>
              <dd>${settled.steps.executed} of ${settled.steps.planned}, ${settled.steps.redone} redone</dd>
              <dt>Loss at the end</dt>
              <dd>training ${lossText(settled.trainLoss)}, held out ${lossText(settled.heldOutLoss)}</dd>
              <dt>Adapter</dt>
              <dd>${bytesText(settled.artefact.bytes)}, sha256 <code>${settled.artefact.sha256}</code></dd>`
      }
      <dt>Data fingerprint</dt>
      <dd><code>${run.fingerprint}</code></dd>
      <dt>Training set sha256</dt>
      <dd><code>${run.trainingSetSha256}</code></dd>
      ${Object.entries(facts).map(
        ([name, value]) =>
          html`<dt>${name}</dt>
            <dd>${String(value)}</dd>`,
      )}
    </dl>
    ${launchTable(launches)}
  </section>`;
}

/** Candidate, champion and base model on the same held-out samples, with intervals where they were measured. */
export function evaluationSection({ run }: CycleReport): Html | undefined {
  if (run === null) return undefined;
  const { metrics } = run;
  const rows = [
    intervalOf(metrics, 'candidateLoss', 'candidate'),
    intervalOf(metrics, 'championLoss', 'champion before it'),
    intervalOf(metrics, 'baseLoss', 'base model'),
  ].filter((row) => row !== undefined);
  const differences = [
    intervalOf(metrics, 'candidateMinusChampion', 'candidate − champion'),
    intervalOf(metrics, 'candidateMinusBase', 'candidate − base'),
  ].filter((row) => row !== undefined);
  const samples = metrics['evaluatedSamples'];
  return html`<section>
    <h2>Evaluation</h2>
    <p>
      <b class="${run.state === 'rejected' ? 'bad' : run.state === 'promoted' ? 'good' : ''}">${run.state}</b
      >${run.champion ? ', the champion now' : ''}${metrics['forced'] === true ? ', by force' : ''}${run.reason === null ? '' : `: ${run.reason}`}
    </p>
    ${
      rows.length === 0
        ? html`<p class="soft">No comparison was measured.</p>`
        : html`${intervalChart(rows)}
            <p class="soft">
              Mean loss per token on ${typeof samples === 'number' ? countText(samples) : 'the'} held-out samples with
              95 % confidence intervals; lower is better.
            </p>`
    }
    ${
      differences.length === 0
        ? null
        : html`<table>
            <tr>
              <th>Paired difference</th>
              <th class="number">Value</th>
              <th class="number">95 % interval</th>
            </tr>
            ${differences.map(
              ({ name, value, low, high }) =>
                html`<tr>
                  <td>${name}</td>
                  <td class="number">${lossText(value)}</td>
                  <td class="number">${lossText(low)} to ${lossText(high)}</td>
                </tr>`,
            )}
          </table>`
    }
  </section>`;
}

function intervalOf(metrics: Readonly<Record<string, unknown>>, key: string, name: string): Interval | undefined {
  const [value, low, high] = [metrics[key], metrics[`${key}Low`], metrics[`${key}High`]];
  if (typeof value !== 'number' || typeof low !== 'number' || typeof high !== 'number') return undefined;
  return { name, value, low, high, emphasis: key === 'candidateLoss' };
}

/** The package and its way to the server. */
export function deliverySection({ run, delivery, packageEntries }: CycleReport): Html | undefined {
  if (run === null) return undefined;
  if (delivery === null)
    return html`<section>
      <h2>Delivery</h2>
      <p class="soft">Nothing was packaged.</p>
    </section>`;
  return html`<section>
    <h2>Delivery</h2>
    <dl>
      <dt>Version</dt>
      <dd>${run.version}</dd>
      <dt>State</dt>
      <dd>${delivery.state}${delivery.reason === null ? '' : `: ${delivery.reason}`}</dd>
      <dt>Upload attempts</dt>
      <dd>${delivery.attempts}</dd>
      ${
        delivery.bytes === 0
          ? null
          : html`<dt>Package</dt>
              <dd>${bytesText(delivery.bytes)}, sha256 <code>${delivery.packageSha256}</code></dd>`
      }
    </dl>
    ${
      packageEntries === null
        ? null
        : html`<h3>Entries</h3>
            <table>
              <tr>
                <th>File</th>
                <th class="number">Size</th>
              </tr>
              ${packageEntries.map(
                ({ name, bytes }) =>
                  html`<tr>
                    <td><code>${name}</code></td>
                    <td class="number">${bytesText(bytes)}</td>
                  </tr>`,
              )}
            </table>`
    }
  </section>`;
}

/** When what happened. */
export function timingSection({ cycle, run, training, delivery }: CycleReport): Html {
  return html`<section>
    <h2>Timing</h2>
    ${timingTable([
      ['cycle started', cycle?.startedAt],
      ['training planned', run?.plannedAt],
      ['trainer started', training?.launches[0]?.startedAt],
      ['training settled', training?.settled?.settledAt],
      ['packaged', delivery?.bytes === 0 ? null : delivery?.packagedAt],
      ['uploaded', delivery?.uploadedAt],
      ['batches marked', delivery?.markedAt],
      ['cycle ended', cycle?.finishedAt],
    ])}
  </section>`;
}
