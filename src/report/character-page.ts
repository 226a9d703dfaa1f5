import { triggerNotice } from '../character/trigger-notice.js';
import { coverageSection, imagesSection, rejectsSection } from './character-image-sections.js';
import type { Pictures } from './character-pictures.js';
import type { CharacterReport } from './character-report.js';
import { reviewSection } from './character-review-section.js';
import { characterStyle } from './character-style.js';
import { deliverySection, epochSection, recordSection, trainingSection } from './character-training-sections.js';
import { countText, lossText, spanText } from './format.js';
import { html, type Html } from './html.js';
import { figure, renderPage } from './page.js';

/** The report of a character run as one self-contained page; the same report gives the same page. */
export function renderCharacterReport(
  report: CharacterReport,
  pictures: Pictures,
  { towerVersion }: { readonly towerVersion: string },
): string {
  const { job, run, outcome, simulated } = report;
  const title = `${job.name}, version ${report.version}`;
  return renderPage({
    title,
    style: characterStyle,
    header: html`<p class="over">Tower, ${run}</p>
      <h1>${title} <span class="pill ${toneOf(report)}">${outcome?.outcome ?? 'running'}</span></h1>
      ${outcome === null ? null : html`<p class="why">${outcome.reason}</p>`}
      <p class="soft">
        ${job.description}${job.tags.length === 0 ? null : html` · tags: ${job.tags.join(', ')}`} · trigger:
        ${job.trigger}
      </p>
      ${triggerNotice(job) === undefined ? null : html`<p class="warn">${triggerNotice(job)}</p>`}`,
    simulated: simulated ? 'images or LoRA come from simulated programs and show no character' : undefined,
    figures: figures(report),
    sections: [
      deliverySection(report, pictures),
      epochSection(report, pictures),
      trainingSection(report),
      coverageSection(report),
      imagesSection(report, pictures),
      rejectsSection(report, pictures),
      reviewSection(report),
      recordSection(report, towerVersion),
    ],
    source: "the run's own records",
    towerVersion,
  });
}

function figures({ images, rejected, job, choice, firstImageAt, outcome }: CharacterReport): Html[] {
  const chosen = choice?.epochs.find(({ epoch }) => epoch === choice.epoch);
  const made = job.stages.includes('generate');
  return [
    figure(made ? `${countText(images.length)} of ${countText(job.count)}` : countText(images.length), 'images'),
    ...(made ? [figure(countText(rejected.length), 'rejected')] : []),
    ...(choice === null
      ? []
      : [
          figure(
            `${choice.epoch} of ${Math.max(choice.epoch, ...choice.epochs.map(({ epoch }) => epoch))}`,
            'chosen epoch',
          ),
        ]),
    ...(chosen === undefined ? [] : [figure(lossText(chosen.heldOutLoss), 'held-out loss')]),
    figure(spanText(firstImageAt, outcome?.endedAt ?? null), 'from first image to end'),
  ];
}

function toneOf({ outcome }: CharacterReport): string {
  if (outcome?.outcome === 'succeeded') return 'good';
  return outcome?.outcome === 'failed' || outcome?.outcome === 'cancelled' ? 'bad' : 'warn';
}
