import { TowerError } from '../../errors.js';
import { observeQueue, type QueueObservation } from '../../syntx/monitor/observe-queue.js';
import { monitorLimits } from '../../syntx/open-syntx.js';
import type { ListedJob, ShownJob } from '../../syntx/queue/look.js';
import type { Place } from '../../syntx/queue/queue-paths.js';
import type { CommandContext } from '../command-context.js';
import { agoText } from '../durations.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { pairsText, tableText } from '../table.js';
import { printable, printableName } from './printable.js';
import { withQueueFiles } from './queue-files.js';

/** @returns 6 when the monitor flags something. */
export async function showQueueStatus(context: CommandContext): Promise<ExitCode> {
  const observed = await withQueueFiles(context, async ({ queue }) => {
    const observation = await observeQueue(queue, { limits: monitorLimits(context.config.syntx) });
    return { ...observation, directory: queue.paths.root, working: await queue.list('processing', 20) };
  });
  const { flags, working } = observed;
  const owners = working.map(({ baseName, owner }) => ({ job: baseName, workflowId: owner?.workflowId ?? null }));
  context.output.result({ ...observed, working: owners }, statusText(observed, owners));
  return flags.length === 0 ? exitCodes.ok : exitCodes.precondition;
}

export async function listQueue(
  { place, limit }: { readonly place: Place; readonly limit: number },
  context: CommandContext,
): Promise<void> {
  const jobs = await withQueueFiles(context, ({ queue }) => queue.list(place, limit));
  const now = new Date();
  const rows = jobs.map((job) => {
    const made = isoTime(job.createdAt);
    const score = job.score === null ? '-' : String(job.score.total);
    const ago = `${made === null ? '-' : agoText(made, now)}${madeMark(job)}`;
    const wrapper = `${printableName(job.wrapper ?? '-')}${mark(job)}`;
    return [printableName(job.baseName), score, wrapper, ago, reasonOf(job)];
  });
  const table = tableText(['JOB', 'SCORE', 'WRAPPER', 'MADE', ''], rows);
  context.output.result({ place, jobs: jobs.map(listedView) }, table || `nothing is in ${place}`);
}

/** @throws TowerError `NOT_FOUND`, and `USAGE` when several jobs are meant. */
export async function showJob(named: string, context: CommandContext): Promise<void> {
  const jobs = await withQueueFiles(context, ({ queue }) => queue.find(named, 20));
  const [job, ...others] = jobs;
  if (job === undefined) {
    throw new TowerError('NOT_FOUND', `no job of the queue is called ${named}`, {
      next: '`tower queue list <stage>` lists them.',
    });
  }
  if (others.length > 0) {
    const names = jobs.slice(0, 5).map(({ place, baseName }) => `${place}/${printableName(baseName)}`);
    throw new TowerError('USAGE', `${jobs.length} jobs have ${named} in their names: ${names.join(', ')}`, {
      next: 'Give the whole name, with its stage as it is shown here.',
    });
  }
  context.output.result({ ...job, ...timesOf(job) }, jobText(job));
}

function statusText(
  { flags, counts, lastProcessedAt, errorShare, directory }: QueueObservation & { readonly directory: string },
  owners: readonly { readonly job: string; readonly workflowId: string | null }[],
): string {
  const places = Object.entries(counts).map(([place, { jobs, withoutMetadata, withoutPrompt }]) => [
    ...[place, String(jobs), withoutMetadata === 0 ? '' : `${withoutMetadata} without metadata`],
    withoutPrompt === 0 ? '' : `${withoutPrompt} without a prompt`,
  ]);
  return [
    ...flags.map(({ text }) => `! ${text}`),
    pairsText([
      ['Queue', directory],
      ['Last processed', lastProcessedAt === null ? 'never' : agoText(lastProcessedAt, new Date())],
      ['In error', errorShare === null ? '-' : `${(100 * errorShare).toFixed(1)} % of what is done`],
    ]),
    tableText(['STAGE', 'JOBS', '', ''], places),
    ...owners.map(({ job, workflowId }) => `${printableName(job)}: ${workflowId ?? 'held by nobody known to Tower'}`),
  ].join('\n');
}

function jobText(job: ShownJob): string {
  const { score, faults = [] } = { score: job.score, faults: job.lease?.faults };
  const known = pairsText([
    ['Job', printableName(job.baseName)],
    ['Stage', `${job.place}${job.owner === null ? '' : `, worked on by ${job.owner.workflowId}`}`],
    ['Style × category', printableName(`${job.style ?? '-'} × ${job.category ?? '-'}`)],
    ['Topic', printableName(job.topic ?? 'not recorded')],
    ['Made', `${isoTime(job.createdAt) ?? '-'}${madeMark(job)}`],
    ['Settled', isoTime(job.settledAt) ?? '-'],
    [
      'Score',
      score === null
        ? 'none'
        : `${score.total} (fields ${score.completeness ?? '-'}, structure ${score.structure ?? '-'})`,
    ],
    ['Wrapper', `${printableName(job.wrapper ?? '-')}${mark(job)}`],
    ['Retries', String(job.retryCount)],
    ...(reasonOf(job) === '' ? [] : [['Reason', reasonOf(job)] as [string, string]]),
  ]);
  return [
    known,
    ...faults.map(({ at, error }) => `fault ${at}: ${printableName(error)}`),
    `\nPrompt\n${printable(job.prompt ?? '(lost: the original wrote the answer over it)')}`,
    ...(job.response === null ? [] : [`\nAnswer\n${printable(job.response)}`]),
  ].join('\n');
}

/** A simulated service's score looks like any other. */
function mark({ simulated }: ListedJob): string {
  return simulated ? ' [simulated]' : '';
}

/** The same of a prompt that no model has written. */
function madeMark({ promptSimulated }: ListedJob): string {
  return promptSimulated ? ' [simulated]' : '';
}

function reasonOf({ fault, error, place }: ListedJob): string {
  return printableName(fault ?? (place === 'error' ? (error ?? '') : ''));
}

/** A job as JSON; answers are long: `show` has them. */
function listedView(job: ListedJob): Record<string, unknown> {
  return Object.fromEntries(Object.entries({ ...job, ...timesOf(job) }).filter(([key]) => key !== 'response'));
}

/** ISO 8601 UTC, like all times that commands print. */
function timesOf({ createdAt, settledAt }: ListedJob): {
  readonly createdAt: string | null;
  readonly settledAt: string | null;
} {
  return { createdAt: isoTime(createdAt), settledAt: isoTime(settledAt) };
}

function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
