import { TowerError } from '../../errors.js';
import type { PastGeneration } from '../../syntx/evolution/evolution-log.js';
import { evolutionStatus, type EvolutionStatus } from '../../syntx/evolution/evolution-status.js';
import { cellTable, type CellRow, type CellTable } from '../../syntx/learning/cell-table.js';
import { scoredJobs } from '../../syntx/open-syntx.js';
import type { SyntxQueue } from '../../syntx/queue/syntx-queue.js';
import type { CommandContext } from '../command-context.js';
import { printableName } from '../queue/printable.js';
import { withQueueFiles } from '../queue/queue-files.js';
import { pairsText, tableText } from '../table.js';
import { heatmapText } from './heatmap-text.js';

interface LearnedTable extends CellTable {
  /** Scores, of all wrappers, that came from a simulated service. */
  readonly simulated: number;
}

export async function showEvolution(wrapper: string | undefined, context: CommandContext): Promise<void> {
  const { table, status } = await withQueueFiles(context, async ({ queue, evolution }) => {
    const learned = await tableOfQueue(queue, wrapper, context);
    return { table: learned, status: await evolutionStatus(evolution, learned, context.config.syntx.learning) };
  });
  const { lastRun, ...facts } = status;
  context.output.result(
    { ...withTimes(table), ...facts, lastRun: lastRun === null ? null : withTime(lastRun) },
    [summaryText(table, status), cellsText(table)].join('\n\n'),
  );
}

export async function showHeatmap(wrapper: string | undefined, context: CommandContext): Promise<void> {
  const table = await readTable(wrapper, context);
  context.output.result(
    withTimes(table),
    [heatmapText(table.rows, { colour: process.stdout.isTTY && !context.output.json }), cellsText(table)].join('\n\n'),
  );
  const shown = wrapperText(table);
  context.output.say(
    table.jobs === 0
      ? 'Nothing has been scored yet.'
      : `${shown === undefined ? '' : `Shown: ${shown}. `}Above the expected score; in brackets the scores of the cell since its landscape began.${table.simulated === 0 ? '' : ` ${table.simulated} scores are simulated.`}`,
  );
}

/** Everything about each cell; the map has room for two figures. */
function cellsText({ rows }: LearnedTable): string {
  const header = ['STYLE', 'CATEGORY', 'SCORES', 'EVER', 'MEAN', 'GOOD', 'EXPECTED (95 %)'];
  const lines = rows.map(({ style, category, draws, mean, goodShare, expected, drawsEver }) => [
    ...[style, category, String(draws), String(drawsEver), mean === null ? '-' : mean.toFixed(1)],
    goodShare === null ? '-' : `${(100 * goodShare).toFixed(0)} %`,
    expected === null ? '-' : expectedText(expected),
  ]);
  return tableText(header, lines);
}

/** What is learned, from the queue directory. @throws TowerError `NOT_FOUND` for a wrapper without scores */
export async function readTable(wrapper: string | undefined, context: CommandContext): Promise<LearnedTable> {
  return withQueueFiles(context, ({ queue }) => tableOfQueue(queue, wrapper, context));
}

/** For JSON: a moment is ISO 8601 UTC. */
export function withTime(past: PastGeneration): Omit<PastGeneration, 'at'> & { readonly at: string } {
  return { ...past, at: new Date(past.at).toISOString() };
}

/** @throws TowerError `NOT_FOUND` for a wrapper without scores */
export function requireScores(jobs: readonly { readonly wrapper: string }[], wrapper: string): void {
  if (jobs.some((job) => job.wrapper === wrapper)) return;
  const known = [...new Set(jobs.map((job) => printableName(job.wrapper)))].sort().join(', ') || 'none yet';
  throw new TowerError('NOT_FOUND', `nothing has been scored with the wrapper ${printableName(wrapper)}`, {
    next: `Wrappers with scores: ${known}.`,
  });
}

async function tableOfQueue(
  queue: SyntxQueue,
  wrapper: string | undefined,
  { config }: CommandContext,
): Promise<LearnedTable> {
  const { learning, generation } = config.syntx;
  const jobs = await scoredJobs(queue);
  if (wrapper !== undefined) requireScores(jobs, wrapper);
  const { styles, topics } = generation;
  const table = cellTable(jobs, { styles, topics }, { ...learning, ...(wrapper !== undefined && { wrapper }) });
  if (wrapper !== undefined && table.withoutScores !== null) throw withoutLatest(wrapper, learning.memoryScores);
  return { ...table, simulated: jobs.filter(({ simulated }) => simulated).length };
}

function withoutLatest(wrapper: string, memoryScores: number): TowerError {
  const name = printableName(wrapper);
  return new TowerError(
    'NOT_FOUND',
    `none of the latest ${memoryScores} scores of known cells is of the wrapper ${name}`,
    {
      next: `See its scores of all times: tower evolution history --wrapper ${name}`,
    },
  );
}

function withTimes(table: LearnedTable) {
  const wrappers = table.wrappers.map(({ since, ...rest }) => ({
    ...{ ...rest, since: since === null ? null : new Date(since).toISOString() },
  }));
  return { ...table, wrappers };
}

/** Whose scores are shown; `undefined`: those of all wrappers, as it is where none is asked for. */
function wrapperText({ wrapper, withoutScores }: CellTable): string | undefined {
  if (wrapper !== null) return `the wrapper ${printableName(wrapper)} alone`;
  return withoutScores === null
    ? undefined
    : `all wrappers: none of the latest scores is of ${printableName(withoutScores)}`;
}

function summaryText(table: LearnedTable, status: EvolutionStatus): string {
  const { jobs, simulated, ignored, wrappers, likeness, rows } = table;
  const { policy, nextGeneration, best, unseen } = status;
  const shown = jobs === 0 ? undefined : wrapperText(table);
  return pairsText([
    ['Policy', policy],
    // Runs that explored use no number up (contract syntx 2.6).
    ['Generation', nextGeneration === 1 ? 'none yet' : `${nextGeneration - 1}, the next is ${nextGeneration}`],
    ['Scored jobs', jobs === 0 ? 'none yet: the next run explores' : String(jobs)],
    ...(simulated === 0 ? [] : [['', `${simulated} scores of all wrappers are simulated`] as [string, string]]),
    ...(ignored === 0
      ? []
      : [['', `${ignored} more, of styles or categories that are not configured`] as [string, string]]),
    ...(shown === undefined ? [] : [['Shown', shown] as [string, string]]),
    ...wrappers.map(({ name, share, since }): [string, string] => [
      `Wrapper ${printableName(name)}`,
      `${(100 * share).toFixed(0)} % of the latest scores, landscape ${since === null ? 'unchanged' : `of ${new Date(since).toISOString().slice(0, 10)}`}`,
    ]),
    ...(likeness === null
      ? []
      : [['Likeness', `${likeness.toFixed(2)} (-1 opposite, 0 unrelated, 1 alike)`] as [string, string]]),
    ...best.map((row, index): [string, string] => [index === 0 ? 'Best' : '', bestText(row)]),
    ...(unseen === 0 ? [] : [['Unseen', `${unseen} of ${rows.length} cells`] as [string, string]]),
  ]);
}

function bestText({ style, category, expected }: CellRow): string {
  return `${style} × ${category}: ${expectedText(expected!)}`;
}

function expectedText({ value, low, high }: NonNullable<CellRow['expected']>): string {
  return `${value.toFixed(1)} (${low.toFixed(1)} to ${high.toFixed(1)})`;
}
