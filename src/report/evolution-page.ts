import { heatMap, trendChart } from './evolution-charts.js';
import type { LevelSample } from './evolution-logs.js';
import type { EvolutionReport, ReportedPrompt } from './evolution-report.js';
import { countText } from './format.js';
import { html, type Html } from './html.js';
import { levelsChart } from './levels-chart.js';
import { figure, renderPage } from './page.js';

const textLimit = 4000;

/** The report of a day as one self-contained page; the same report gives the same page. */
export function renderEvolutionReport(
  report: EvolutionReport,
  { towerVersion }: { readonly towerVersion: string },
): string {
  const title = `Prompt evolution on ${report.day}`;
  return renderPage({
    title,
    header: html`<p class="over">Tower${report.timezone === null ? '' : `, times of ${report.timezone}`}</p>
      <h1>${title}</h1>`,
    simulated: simulatedText(report),
    figures: figures(report),
    sections: [
      trendSection(report),
      mapSection(report),
      levelsSection(report),
      runsSection(report),
      promptsSection('Best prompts', report.best),
      promptsSection('Worst prompts', report.worst),
    ],
    source: 'the queue directory and its logs',
    towerVersion,
  });
}

function simulatedText(report: EvolutionReport): string | undefined {
  const { simulatedPrompts: prompts, simulatedAnswers: answers } = report;
  if (prompts && answers)
    return 'these prompts come from a simulated endpoint, and their answers from a simulated service';
  if (answers) return 'these answers, and so their scores, come from a simulated service';
  return prompts ? 'these prompts come from a simulated endpoint' : undefined;
}

function figures(report: EvolutionReport): Html[] {
  const { trend, day, generations, goodScore } = report;
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
    costFigure(report),
  ];
}

function costFigure({ costs, unpricedModels }: EvolutionReport): Html {
  const { calls, paid } = costs;
  const unknown = unpricedModels.join(', ');
  if (calls === 0 && unknown !== '') return figure('–', `paid: no price for ${unknown}`);
  const without = unknown === '' ? '' : `, without those of ${unknown}`;
  return figure(`${paid.toFixed(4)} USD`, `paid for ${countText(calls)} calls${without}`);
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

function mapSection({ table, goodScore }: EvolutionReport): Html {
  return html`<section>
    <h2>What is expected of each style and category</h2>
    ${table.jobs === 0 ? html`<p class="soft">Nothing was scored yet.</p>` : heatMap(table.rows)}
    <p class="soft after">
      Expected score with its 95 % interval, from ${countText(table.jobs)} scored jobs${whoseText(table)}; below it how
      many scores the cell itself has, and the share with ${goodScore} and more.
    </p>
  </section>`;
}

/** @param table - With the wrapper of `syntx.learning.wrapper`, where that is set. */
function whoseText({ wrapper, withoutScores }: EvolutionReport['table']): string {
  if (wrapper !== null) return ` of the wrapper ${wrapper}`;
  return withoutScores === null ? '' : ` of all wrappers, as none of the latest is of ${withoutScores}`;
}

function levelsSection({ levels, incomingLimits }: EvolutionReport): Html {
  const [first, last] = [levels[0], levels.at(-1)];
  return html`<section>
    <h2>Queue</h2>
    ${
      first === undefined || last === undefined
        ? html`<p class="soft">The monitor has no line of this day.</p>`
        : html`${levelsChart(levels, incomingLimits)} ${levelsTable(first, last)}`
    }
  </section>`;
}

function levelsTable(first: LevelSample, last: LevelSample): Html {
  return html`<table class="after">
    <tr>
      <th></th>
      <th class="number">${first.time.slice(11)}</th>
      <th class="number">${last.time.slice(11)}</th>
      <th class="number">Change</th>
    </tr>
    ${(['incoming', 'processed', 'error', 'archive'] as const).map((stage) => {
      const change = last[stage] - first[stage];
      return html`<tr>
        <td class="name">${stage}</td>
        <td class="number">${countText(first[stage])}</td>
        <td class="number">${countText(last[stage])}</td>
        <td class="number">${change > 0 ? '+' : ''}${countText(change)}</td>
      </tr>`;
    })}
  </table>`;
}

function runsSection({ generations, failedRuns }: EvolutionReport): Html | undefined {
  if (generations.length === 0 && failedRuns.length === 0) return undefined;
  return html`<section class="long">
    <h2>Runs of the producer</h2>
    ${generations.length === 0 ? null : runsTable(generations)} ${failedTable(failedRuns)} ${notMade(generations)}
  </section>`;
}

function runsTable(generations: EvolutionReport['generations']): Html {
  return html`<div class="wide">
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
        ({ run, generation, learnedFrom, prompts, paid, priced }) =>
          html`<tr>
            <td class="name">${run.replace(/^produce-/, '')}</td>
            <td class="number">${learnedFrom === null ? '–' : generation}</td>
            <td class="number">${learnedFrom?.sampleCount ?? 'explored'}</td>
            <td class="number">${prompts.filter(({ job }) => job !== null).length} of ${prompts.length}</td>
            <td class="number">${priced === false && paid === 0 ? 'no price' : paid.toFixed(4)}</td>
            <td class="why">
              ${learnedFrom === null ? '' : [...learnedFrom.topStyles, ...learnedFrom.topCategories].join(', ')}
            </td>
          </tr>`,
      )}
    </table>
  </div>`;
}

function failedTable(failedRuns: EvolutionReport['failedRuns']): Html | undefined {
  if (failedRuns.length === 0) return undefined;
  return html`<h3>Failed</h3>
    <div class="wide">
      <table>
        ${failedRuns.map(
          ({ run, reason }) =>
            html`<tr>
              <td class="name">${run.replace(/^produce-/, '')}</td>
              <td class="why">${reason}</td>
            </tr>`,
        )}
      </table>
    </div>`;
}

function notMade(generations: EvolutionReport['generations']): Html | undefined {
  const failed = generations.flatMap(({ run, prompts }) =>
    prompts.flatMap(({ style, category, topic, job, error }) =>
      job === null
        ? [{ run, prompt: `${style} × ${category}, ${topic}`, error: error ?? 'no reason was recorded' }]
        : [],
    ),
  );
  if (failed.length === 0) return undefined;
  return html`<h3>Not made</h3>
    <div class="wide">
      <table>
        ${failed.map(
          ({ run, prompt, error }) =>
            html`<tr>
              <td class="name">${run.replace(/^produce-/, '')}</td>
              <td class="why">${prompt}</td>
              <td class="why">${error}</td>
            </tr>`,
        )}
      </table>
    </div>`;
}

function promptsSection(title: string, prompts: readonly ReportedPrompt[]): Html | undefined {
  if (prompts.length === 0) return undefined;
  return html`<section class="long">
    <h2>${title}</h2>
    ${prompts.map(
      ({ job, style: written, category, topic, wrapper, score, simulated, prompt, answer }) =>
        html`<h3>
            ${score} points: ${written} × ${category}${topic === null ? '' : `, ${topic}`}
            (${wrapper}${simulated ? ', simulated' : ''})
          </h3>
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
