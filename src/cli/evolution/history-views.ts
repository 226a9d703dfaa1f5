import { TowerError } from '../../errors.js';
import type { PastGeneration } from '../../syntx/evolution/evolution-log.js';
import type { FailedRun, GenerationRecord } from '../../syntx/evolution/generation-record.js';
import { costText } from '../../syntx/generation/cost-text.js';
import { scoredJobs } from '../../syntx/open-syntx.js';
import { jobIdOf } from '../../syntx/queue/job-name.js';
import type { SyntxQueue } from '../../syntx/queue/syntx-queue.js';
import type { CommandContext } from '../command-context.js';
import { localTime } from '../durations.js';
import { printable, printableName } from '../queue/printable.js';
import { withQueueFiles } from '../queue/queue-files.js';
import { pairsText, tableText } from '../table.js';
import { requireScores, withTime } from './evolution-views.js';

const lineWidth = 80;
/** All runs are called so; the text shows the rest, and `--run` takes either. */
const runPrefix = 'produce-';

/** The row has no room for more. */
const simulatedMark = ' *';
const simulatedLegend = '* [simulated]: a simulated service has given some of these scores, or all';

/** What the prompts of one run have scored with one wrapper so far. */
interface RunScores {
  readonly wrapper: string;
  /** So many of its prompts. */
  readonly scored: number;
  /** Of these, those that a simulated service has answered. */
  readonly simulated: number;
  /** `null` while none has a score. */
  readonly mean: number | null;
}

/** `null`: nobody knows which prompts are of the run. */
type ScoresOf = (past: PastGeneration) => RunScores | null;

export async function showHistory(
  { n, run, wrapper }: { readonly n: number; readonly run?: string; readonly wrapper?: string },
  context: CommandContext,
): Promise<void> {
  if (run !== undefined) return showRun(run, context);
  const { history, failed, scoresOf } = await withQueueFiles(context, async ({ queue, evolution }) => ({
    history: await evolution.history(),
    failed: await evolution.failures(),
    scoresOf: wrapper === undefined ? undefined : await scoresWith(wrapper, queue),
  }));
  const newest = [
    ...history.map((past) => ({ at: past.at, row: rowOf(past, scoresOf), past, failure: undefined })),
    ...failed.map((failure) => ({ at: Date.parse(failure.at), row: failedRow(failure), past: undefined, failure })),
  ]
    .sort((a, b) => b.at - a.at)
    .slice(0, n);
  const table = tableText(
    ['GEN.', 'AT', 'MADE', wrapper === undefined ? 'FROM (MEAN)' : 'SCORED, MEAN', 'RUN'],
    newest.map(({ row }) => row),
  );
  context.output.result(
    {
      generations: newest.flatMap(({ past }) =>
        past === undefined ? [] : [{ ...withTime(past), ...(scoresOf && { scores: scoresOf(past) }) }],
      ),
      failed: newest.flatMap(({ failure }) => failure ?? []),
    },
    [
      table || 'no run of the producer yet',
      ...(newest.some(({ row }) => row.some((cell) => cell.endsWith(simulatedMark))) ? [simulatedLegend] : []),
      ...newest.flatMap(({ failure }) => (failure === undefined ? [] : [failureText(failure)])),
    ].join('\n'),
  );
}

/** @throws TowerError `NOT_FOUND` for a wrapper without scores */
async function scoresWith(wrapper: string, queue: SyntxQueue): Promise<ScoresOf> {
  const jobs = await scoredJobs(queue);
  requireScores(jobs, wrapper);
  const scores = new Map(jobs.filter((job) => job.wrapper === wrapper).map((job) => [job.id, job]));
  return ({ record }) => {
    if (record === null) return null;
    const ofRun = record.prompts.flatMap(({ job }) => (job === null ? [] : (scores.get(jobIdOf(job)) ?? [])));
    const mean = ofRun.length === 0 ? null : ofRun.reduce((sum, { score }) => sum + score, 0) / ofRun.length;
    return { wrapper, scored: ofRun.length, simulated: ofRun.filter(({ simulated }) => simulated).length, mean };
  };
}

function rowOf(past: PastGeneration, scoresOf?: ScoresOf): string[] {
  const { generation, at, learnedFrom, promptsGenerated, record } = past;
  return [
    // Runs that explored use no number up (contract syntx 2.6).
    ...[
      learnedFrom === null ? '-' : String(generation),
      localTime(new Date(at)).slice(0, 16),
      String(promptsGenerated),
    ],
    scoresOf === undefined ? learnedText(learnedFrom) : scoresText(scoresOf(past)),
    record === null
      ? 'by the original'
      : `${printableName(record.run.slice(runPrefix.length))}${record.simulated ? ' [simulated]' : ''}`,
  ];
}

function learnedText(learnedFrom: PastGeneration['learnedFrom']): string {
  return learnedFrom === null ? 'explored' : `${learnedFrom.sampleCount} (${learnedFrom.averageScore.toFixed(1)})`;
}

function scoresText(scores: RunScores | null): string {
  if (scores === null) return 'unknown';
  if (scores.mean === null) return 'none yet';
  return `${scores.scored}, ${scores.mean.toFixed(1)}${scores.simulated === 0 ? '' : simulatedMark}`;
}

function failedRow({ run, at }: FailedRun): string[] {
  return ['-', localTime(new Date(at)).slice(0, 16), '0', 'failed', printableName(run.slice(runPrefix.length))];
}

/** Below the table, which has no room for it. */
function failureText({ run, reason }: FailedRun): string {
  return [
    `\n${printableName(run.slice(runPrefix.length))} failed:`,
    ...wrapped(printable(reason).replaceAll(/\s+/g, ' '), lineWidth - 4),
  ].join('\n    ');
}

async function showRun(named: string, context: CommandContext): Promise<void> {
  const isNamed = (run: string | undefined) => run === named || run === `${runPrefix}${named}`;
  const { found, failure } = await withQueueFiles(context, async ({ evolution }) => ({
    found: (await evolution.history()).find(({ record }) => isNamed(record?.run))?.record,
    failure: await evolution.failureOf(isNamed),
  }));
  if (found == null && failure !== undefined) {
    const facts = pairsText([
      ['Run', printableName(failure.run)],
      ['At', localTime(new Date(failure.at)).slice(0, 16)],
    ]);
    context.output.result({ ...failure, failed: true }, [facts, failureText(failure)].join('\n'));
    return;
  }
  if (found == null) {
    throw new TowerError('NOT_FOUND', `no run of the producer is called ${printableName(named)}`, {
      next: '`tower evolution history` lists them.',
    });
  }
  const { learnedFrom } = found;
  const facts = pairsText([
    ['Run', `${printableName(found.run)}${found.simulated ? ' [simulated]' : ''}`],
    ['Generation', found.learnedFrom === null ? '-' : String(found.generation)],
    ['Policy', found.policy],
    ...(learnedFrom === null
      ? [['Learned from', 'nothing: it explored'] as const]
      : [
          ['Learned from', `${learnedFrom.sampleCount} jobs, mean ${learnedFrom.averageScore}`] as const,
          ['Ahead', printableName(learnedFrom.topStyles.join(', '))] as const,
          ['', printableName(learnedFrom.topCategories.join(', '))] as const,
        ]),
    ['Cost', costText(found)],
  ]);
  const failed = failure === undefined ? [] : [failureText(failure)];
  context.output.result(
    { ...found, ...(failure !== undefined && { failed: true, reason: failure.reason }) },
    [facts, ...failed, ...found.prompts.map(promptText)].join('\n\n'),
  );
}

function promptText(
  { style, category, topic, reason, job, error }: GenerationRecord['prompts'][number],
  index: number,
): string {
  const indent = ' '.repeat(4);
  return [
    printableName(`${String(index + 1).padStart(2)}  ${style} × ${category}: ${topic}`),
    ...wrapped(printableName(`${reason.kind}: ${reason.text}`), lineWidth - indent.length).map((line) => indent + line),
    indent + printableName(job ?? `not made: ${error ?? 'no reason was recorded'}`),
  ].join('\n');
}

/** Lines of whole words; a word that is longer than a line stays whole. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
