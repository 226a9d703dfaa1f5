import { TowerError } from '../../errors.js';
import type { PastGeneration } from '../../syntx/evolution/evolution-log.js';
import { cellTable, type CellTable } from '../../syntx/learning/cell-table.js';
import { scoredJobs } from '../../syntx/open-syntx.js';
import type { CommandContext } from '../command-context.js';
import { withQueueFiles } from '../queue/queue-files.js';
import { pairsText, tableText } from '../table.js';
import { heatmapText } from './heatmap-text.js';

export async function showEvolution(wrapper: string | undefined, context: CommandContext): Promise<void> {
  const table = await readTable(wrapper, context);
  const rows = table.rows.map(({ style, category, draws, mean, goodShare, expected, drawsEver }) => [
    ...[style, category, `${draws} of ${drawsEver}`, mean === null ? '-' : mean.toFixed(1)],
    goodShare === null ? '-' : `${(100 * goodShare).toFixed(0)} %`,
    expected === null
      ? '-'
      : `${expected.value.toFixed(1)} (${expected.low.toFixed(1)} to ${expected.high.toFixed(1)})`,
  ]);
  const header = ['STYLE', 'CATEGORY', 'SCORES (now of ever)', 'MEAN', 'GOOD', 'EXPECTED (95 %)'];
  context.output.result(table, [summaryText(table, context), tableText(header, rows)].join('\n\n'));
}

export async function showHeatmap(wrapper: string | undefined, context: CommandContext): Promise<void> {
  const table = await readTable(wrapper, context);
  context.output.result(table, heatmapText(table.rows, { colour: process.stdout.isTTY && !context.output.json }));
}

export async function showHistory(
  { n, run }: { readonly n: number; readonly run?: string },
  context: CommandContext,
): Promise<void> {
  const history = await withQueueFiles(context, ({ evolution }) => evolution.history());
  if (run !== undefined) return showRun(history, run, context);
  const generations = history.slice(-n).reverse();
  const rows = generations.map(({ generation, at, learnedFrom, promptsGenerated, record }) => [
    ...[String(generation), new Date(at).toISOString().slice(0, 16).replace('T', ' '), String(promptsGenerated)],
    learnedFrom === null ? 'explored' : `${learnedFrom.sampleCount} jobs, mean ${learnedFrom.averageScore}`,
    learnedFrom === null
      ? ''
      : [...learnedFrom.topStyles.slice(0, 2), ...learnedFrom.topCategories.slice(0, 2)].join(', '),
    record === null ? 'by the original' : `${record.run}${record.simulated ? ' [simulated]' : ''}`,
  ]);
  const table = tableText(['GENERATION', 'AT (UTC)', 'PROMPTS', 'LEARNED FROM', 'AHEAD', 'RUN'], rows);
  context.output.result({ generations }, table || 'no run of the producer yet');
}

function showRun(history: readonly PastGeneration[], run: string, context: CommandContext): void {
  const found = history.find(({ record }) => record?.run === run)?.record;
  if (found == null) {
    throw new TowerError('NOT_FOUND', `no run of the producer is called ${run}`, {
      next: '`tower evolution history` lists them.',
    });
  }
  const rows = found.prompts.map(({ style, category, topic, reason, job, error }, index) => [
    ...[
      String(index + 1),
      style,
      category,
      topic,
      `${reason.kind}: ${reason.text}`,
      job ?? `not made: ${error ?? '?'}`,
    ],
  ]);
  const table = tableText(['NO.', 'STYLE', 'CATEGORY', 'TOPIC', 'WHY', 'JOB'], rows);
  const facts = pairsText([
    ['Run', `${found.run}, generation ${found.generation}${found.simulated ? ' [simulated]' : ''}`],
    ['Policy', `${found.policy}, seed "${found.seed}"`],
    ['Cost', `${found.paid.toFixed(4)} USD`],
  ]);
  context.output.result(found, `${facts}\n\n${table}`);
}

/** What is learned, from the queue directory. @throws TowerError `NOT_FOUND` for a wrapper without scores */
export async function readTable(wrapper: string | undefined, context: CommandContext): Promise<CellTable> {
  const { learning, generation } = context.config.syntx;
  const jobs = await withQueueFiles(context, ({ queue }) => scoredJobs(queue));
  if (wrapper !== undefined && !jobs.some((job) => job.wrapper === wrapper)) {
    const known = [...new Set(jobs.map((job) => job.wrapper))].sort().join(', ') || 'none yet';
    throw new TowerError('NOT_FOUND', `nothing has been scored with the wrapper ${wrapper}`, {
      next: `Wrappers with scores: ${known}.`,
    });
  }
  const { styles, topics } = generation;
  return cellTable(jobs, { styles, topics }, { ...learning, ...(wrapper !== undefined && { wrapper }) });
}

function summaryText({ jobs, ignored, wrappers, likeness }: CellTable, { config }: CommandContext): string {
  return pairsText([
    ['Policy', config.syntx.learning.policy],
    ['Scored jobs', `${jobs}${ignored === 0 ? '' : `; ${ignored} of styles or categories that are not configured`}`],
    ...wrappers.map(({ name, share, since }): [string, string] => [
      `Wrapper ${name}`,
      `${(100 * share).toFixed(0)} % of the latest scores; its landscape ${since === null ? 'has always held' : `holds since ${new Date(since).toISOString().slice(0, 10)}`}`,
    ]),
    ...(likeness === null
      ? []
      : [['Likeness', `${likeness.toFixed(2)} (-1 opposite, 0 unrelated, 1 alike)`] as [string, string]]),
  ]);
}
