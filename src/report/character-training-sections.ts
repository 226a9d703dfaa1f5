import { baseModels } from '../kohya/base-model.js';
import { epochChart } from './character-epoch-chart.js';
import type { Pictures } from './character-pictures.js';
import type { CharacterReport } from './character-report.js';
import { bytesText, countText, lossText, timeText } from './format.js';
import { html, type Html } from './html.js';
import { timingTable } from './timing-table.js';
import { launchTable, lossFigure } from './training-parts.js';

/** The training: its loss, what it was told, and every start of the trainer. */
export function trainingSection({ training, kohya, job, trainerConfig }: CharacterReport): Html | undefined {
  if (kohya === null) return undefined;
  const { curve, launches, settled, facts } = training ?? { curve: undefined, launches: [], settled: null, facts: {} };
  return html`<section>
    <h2>Training</h2>
    ${lossFigure(curve, "training loss, mean over an epoch's worth of steps")}
    <h3>Facts</h3>
    <dl>
      <dt>Base model</dt>
      <dd>${job.kohya.pretrained_model_name_or_path ?? job.checkpoint}, ${baseModels[job.baseModelKind].name}</dd>
      <dt>Held out</dt>
      <dd>${heldOutText(kohya)}</dd>
      ${
        settled === null
          ? null
          : html`<dt>Steps</dt>
              <dd>
                ${countText(settled.steps.executed)} of ${countText(settled.steps.planned)},
                ${countText(settled.steps.redone)}
                redone${settled.memoryRung === 0 ? '' : `; out-of-memory ladder at rung ${settled.memoryRung}`}
              </dd>`
      }
      ${Object.entries(facts).map(
        ([name, value]) =>
          html`<dt>${inWords(name)}</dt>
            <dd>${String(value)}</dd>`,
      )}
    </dl>
    ${launchTable(launches)}
    ${trainerConfig === null ? null : whole('Everything that the trainer was told', trainerConfig)}
  </section>`;
}

/** `heldOutImages`: Held out images. */
function inWords(name: string): string {
  const words = name.replace(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A record as it is, for whoever wants to know more. */
function whole(what: string, text: string): Html {
  return html`<details>
    <summary>${what}</summary>
    <pre>${text}</pre>
  </details>`;
}

function heldOutText({ heldOut }: NonNullable<CharacterReport['kohya']>): string {
  if (heldOut === undefined) return '–';
  return heldOut.available
    ? `${heldOut.images ?? '?'} of ${heldOut.of ?? '?'} images`
    : `none: ${heldOut.reason ?? ''}`;
}

/** Which epoch was taken, and what it was compared with. */
export function epochSection({ choice }: CharacterReport, pictures: Pictures): Html | undefined {
  if (choice === null) return undefined;
  const { epochs, epoch: chosen, reason, noise } = choice;
  const losses = epochs.flatMap(({ epoch, heldOutLoss: loss }) => (loss === null ? [] : [{ epoch, loss }]));
  const scored = epochs.some(({ score }) => score !== null);
  return html`<section>
    <h2>Epochs</h2>
    <p>Chosen: ${reason}.</p>
    ${losses.length < 2 ? null : epochChart(losses, { chosen, noise, epochs: Math.max(...epochs.map(({ epoch }) => epoch)) })}
    ${
      losses.length < 2 || noise === null
        ? null
        : html`<p class="soft">Held-out loss by epoch; the band is what lies within noise of the lowest.</p>`
    }
    <div class="wide">
      <table>
        <tr>
          <th class="number">Epoch</th>
          <th class="number">Training loss</th>
          <th class="number">Held-out loss</th>
          ${scored ? html`<th class="number">Score</th>` : null}
          <th>Not worse beyond noise</th>
          <th>Samples</th>
        </tr>
        ${epochs.map(
          ({ epoch, trainLoss, heldOutLoss, score, samples, eligible }) =>
            html`<tr class="${epoch === chosen ? 'chosen' : ''}">
              <td class="number">${epoch}</td>
              <td class="number">${lossText(trainLoss)}</td>
              <td class="number">${lossText(heldOutLoss)}</td>
              ${scored ? html`<td class="number">${score === null ? '–' : score.toPrecision(4)}</td>` : null}
              <td>${eligible ? 'yes' : ''}${epoch === chosen ? ', chosen' : ''}</td>
              <td>
                <div class="samples">
                  ${samples.map((path, index) => sampleImage(pictures, path, `epoch ${epoch}, sample ${index + 1}`))}
                </div>
              </td>
            </tr>`,
        )}
      </table>
    </div>
  </section>`;
}

function sampleImage(pictures: Pictures, path: string, name: string): Html | null {
  const uri = pictures.get(path);
  return uri === undefined ? null : html`<img loading="lazy" src="${uri}" alt="${name}" />`;
}

/** The published file, and the images that show what it does. */
export function deliverySection({ delivery, proof }: CharacterReport, pictures: Pictures): Html | undefined {
  if (delivery === null) return undefined;
  return html`<section>
    <h2>Delivery and proof</h2>
    ${proof === null ? html`<p class="soft">No proof images were made.</p>` : proofFigures(proof, pictures)}
    <dl>
      <dt>LoRA</dt>
      <dd><code>${delivery.loraName}</code>, ${bytesText(delivery.bytes)}</dd>
      <dt>File</dt>
      <dd><code>${delivery.path}</code></dd>
      <dt>SHA-256</dt>
      <dd><code>${delivery.sha256}</code></dd>
      <dt>Alias</dt>
      <dd>${delivery.alias ?? delivery.aliasRefused ?? 'none asked for'}</dd>
      <dt>Sidecar</dt>
      <dd><code>${delivery.sidecar}</code></dd>
    </dl>
  </section>`;
}

function proofFigures(proof: NonNullable<CharacterReport['proof']>, pictures: Pictures): Html {
  const figure = (path: string, what: string) => {
    const uri = pictures.get(path);
    return html`<figure>
      ${
        uri === undefined
          ? html`<div class="picture gone">no picture</div>`
          : html`<img class="picture" src="${uri}" alt="${what}" />`
      }
      <figcaption>${what}</figcaption>
    </figure>`;
  };
  const share = (100 * proof.changedShare).toFixed(1);
  return html`<div class="proof">
      ${figure(proof.withoutLora, 'without the LoRA')}
      ${figure(proof.withLora, `with the LoRA at strength ${proof.strength}`)}
    </div>
    <p>
      Same prompt and seed: ${share} % of the pixels differ, by ${proof.meanAbsolute.toFixed(2)} of 255 on
      average${proof.meanAbsolute < 1 ? html`<b class="warn">, which is faint</b>` : null}.
    </p>
    <p class="soft">Seed ${proof.seed}: ${proof.prompt}</p>`;
}

/** When what happened, what was tried again, and which programs took part. */
export function recordSection(report: CharacterReport, towerVersion: string): Html {
  const { comfyui, kohya, faults, job, training, delivery, outcome } = report;
  return html`<section>
    <h2>Timing and versions</h2>
    ${timingTable([
      ['first image', report.firstImageAt],
      ['last image', report.lastImageAt],
      ['trainer started', training?.launches[0]?.startedAt],
      ['training settled', training?.settled?.settledAt],
      ['LoRA published', delivery?.publishedAt],
      ['run ended', outcome?.endedAt],
    ])}
    ${
      faults.length === 0
        ? null
        : html`<h3>Faults that passed</h3>
            <table>
              <tr>
                <th>When</th>
                <th>Stage</th>
                <th>Fault</th>
              </tr>
              ${faults.map(
                ({ at, stage, code, message }) =>
                  html`<tr>
                    <td class="time">${timeText(at)}</td>
                    <td>${stage}</td>
                    <td><code>${code}</code> ${message}</td>
                  </tr>`,
              )}
            </table>`
    }
    <h3>Versions</h3>
    <dl>
      <dt>Tower</dt>
      <dd>${towerVersion}</dd>
      <dt>ComfyUI</dt>
      <dd>${comfyui === null ? '–' : [comfyui.version, ...comfyui.devices].join(', ')}</dd>
      <dt>sd-scripts</dt>
      <dd>${sdScriptsText(kohya)}</dd>
      <dt>Checkpoint</dt>
      <dd>${job.checkpoint}</dd>
      <dt>Images</dt>
      <dd>${job.width}×${job.height}, ${job.steps} steps, cfg ${job.cfg}, ${job.sampler}, ${job.scheduler}</dd>
    </dl>
    ${whole('The whole job', JSON.stringify(job, null, 2))}
  </section>`;
}

function sdScriptsText(kohya: CharacterReport['kohya']): string {
  if (kohya === null) return '–';
  const known = [kohya.sdScripts?.version, kohya.sdScripts?.commit].filter(Boolean).join(', ');
  return known || (kohya.simulated ? 'simulated' : 'unknown');
}
