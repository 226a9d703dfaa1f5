import { heatMap, levelsChart, trendChart } from './evolution-charts.js';
import type { EvolutionReport, ReportedPrompt } from './evolution-report.js';
import { countText } from './format.js';
import { html, type Html } from './html.js';
import { style } from './style.js';

const textLimit = 4000;

/** One self-contained page: no scripts, nothing fetched. The same report gives the same page. */
export function renderEvolutionReport(
  report: EvolutionReport,
  { towerVersion }: { readonly towerVersion: string },
): string {
  const title = `Prompt evolution on ${report.day}`;
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
            <p class="over">Tower${report.timezone === null ? '' : `, times of ${report.timezone}`}</p>
            <h1>${title}</h1>
            ${report.simulated ? html`<div class="simulated">simulated: these prompts come from a simulated endpoint</div>` : null}
          </header>
          <div class="figures">${figures(report)}</div>
          ${trendSection(report)} ${mapSection(report)} ${levelsSection(report)} ${runsSection(report)}
          ${promptsSection('Best prompts', report.best)} ${promptsSection('Worst prompts', report.worst)}
          <footer>Written by Tower ${towerVersion} from the queue directory and its logs.</footer>
        </main>
      </body>
    </html> `;
  return page.markup;
}

function figures({ trend, day, generations, paid, goodScore }: EvolutionReport): Html[] {
  const today = trend.find((entry) => entry.day === day);
  const made = generations.reduce((sum, { prompts }) => sum + prompts.filter(({ job }) => job !== null).length, 0);
  return [
    figure(countText(made), 'prompts made'),
    figure(countText(today?.scores ?? 0), 'answers scored'),
    figure(today === undefined ? '–' : today.mean.toFixed(1), 'mean score'),
    figure(
      today === undefined ? '–' : `${Math.round((100 * today.good) / today.scores)} %`,
      `with ${goodScore} and more`,
    ),
    figure(`${paid.toFixed(4)} USD`, 'paid for prompts'),
  ];
}

function figure(value: string, what: string): Html {
  return html`<div class="figure"><b>${value}</b><span>${what}</span></div>`;
}

function trendSection({ trend, byWrapper }: EvolutionReport): Html {
  return html`<section>
    <h2>Scores</h2>
    ${
      trend.length === 0
        ? html`<p class="soft">Nothing was scored yet.</p>`
        : html`${trendChart(trend)}
            <p class="soft">Mean score of each day with its 95 % confidence interval.</p>`
    }
    ${
      byWrapper.length === 0
        ? null
        : html`<h3>By wrapper, on this day</h3>
            <table>
              <tr>
                <th>Wrapper</th>
                <th class="number">Scores</th>
                <th class="number">Mean</th>
                <th class="number">Good</th>
              </tr>
              ${byWrapper.map(
                ({ wrapper, scores, mean, good }) =>
                  html`<tr>
                    <td>${wrapper}</td>
                    <td class="number">${scores}</td>
                    <td class="number">${mean.toFixed(1)}</td>
                    <td class="number">${good}</td>
                  </tr>`,
              )}
            </table>`
    }
  </section>`;
}

function mapSection({ table }: EvolutionReport): Html {
  return html`<section>
    <h2>What is expected of each style and category</h2>
    ${table.jobs === 0 ? html`<p class="soft">Nothing was scored yet.</p>` : heatMap(table.rows)}
    <p class="soft">
      Expected score with its 95 % interval, from ${countText(table.jobs)} scored jobs; below it the scores of the cell
      itself.
    </p>
  </section>`;
}

function levelsSection({ levels }: EvolutionReport): Html {
  const last = levels.at(-1);
  return html`<section>
    <h2>Queue</h2>
    ${
      last === undefined
        ? html`<p class="soft">The monitor has no line of this day.</p>`
        : html`${levelsChart(levels)}
            <p class="soft">
              At ${last.time}: ${last.incoming} incoming, ${last.processed} processed, ${last.error} in error,
              ${last.archive} archived.
            </p>`
    }
  </section>`;
}

function runsSection({ generations }: EvolutionReport): Html | undefined {
  if (generations.length === 0) return undefined;
  return html`<section class="long">
    <h2>Runs of the producer</h2>
    <div class="wide">
      <table>
        <tr>
          <th>Run</th>
          <th class="number">Generation</th>
          <th class="number">Learned from</th>
          <th class="number">Made</th>
          <th class="number">USD</th>
          <th>Ahead</th>
        </tr>
        ${generations.map(
          ({ run, generation, learnedFrom, prompts, paid }) =>
            html`<tr>
              <td>${run}</td>
              <td class="number">${generation}</td>
              <td class="number">${learnedFrom?.sampleCount ?? 'explored'}</td>
              <td class="number">${prompts.filter(({ job }) => job !== null).length} of ${prompts.length}</td>
              <td class="number">${paid.toFixed(4)}</td>
              <td>
                ${learnedFrom === null ? '' : [...learnedFrom.topStyles, ...learnedFrom.topCategories].join(', ')}
              </td>
            </tr>`,
        )}
      </table>
    </div>
  </section>`;
}

function promptsSection(title: string, prompts: readonly ReportedPrompt[]): Html | undefined {
  if (prompts.length === 0) return undefined;
  return html`<section class="long">
    <h2>${title}</h2>
    ${prompts.map(
      ({ job, style: written, category, topic, wrapper, score, prompt, answer }) =>
        html`<h3>${score} points: ${written} × ${category}${topic === null ? '' : `, ${topic}`} (${wrapper})</h3>
          <p class="soft"><code>${job}</code></p>
          ${asWritten(prompt ?? 'The prompt is lost: the original wrote the answer over it.')}
          <details>
            <summary>Answer</summary>
            ${asWritten(answer ?? 'No answer is kept.')}
          </details>`,
    )}
  </section>`;
}

/** With its line breaks. */
function asWritten(text: string): Html {
  const shown = text.length > textLimit ? `${text.slice(0, textLimit)} …` : text;
  return html`<p style="white-space: pre-wrap">${shown}</p>`;
}
