import type { ImportOptions } from '../../syntx/queue/import-jobs.js';
import { keptForScore, type Requeued } from '../../syntx/queue/requeue.js';
import type { CommandContext } from '../command-context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { printableName } from './printable.js';
import { withQueueFiles } from './queue-files.js';

/** @returns 3 when some could not be put back for another reason than their score. */
export async function retryJobs(
  { containing, scored }: { readonly containing: string | undefined; readonly scored: boolean | undefined },
  context: CommandContext,
): Promise<ExitCode> {
  const options = { ...(containing !== undefined && { containing }), ...(scored !== undefined && { scored }) };
  const result = await withQueueFiles(context, ({ queue }) => queue.retry(options));
  const isNone = result.requeued.length + result.skipped.length === 0;
  const none =
    containing === undefined ? 'nothing is in error' : `no job in error has ${printableName(containing)} in its name`;
  context.output.result(result, isNone ? none : requeuedText(result));
  return result.skipped.every(({ reason }) => reason === keptForScore) ? exitCodes.ok : exitCodes.partlyDone;
}

/** @returns 3 when some could not be put back, 1 when none could. */
export async function requeueJobs(jobs: readonly string[], context: CommandContext): Promise<ExitCode> {
  const result = await withQueueFiles(context, ({ queue }) => queue.requeue(jobs));
  context.output.result(result, requeuedText(result));
  if (result.skipped.length === 0) return exitCodes.ok;
  return result.requeued.length === 0 ? exitCodes.failed : exitCodes.partlyDone;
}

/** @returns 3 when something was left out for a fault; what is here already is no fault. */
export async function importIntoQueue(
  folder: string,
  options: ImportOptions,
  context: CommandContext,
): Promise<ExitCode> {
  const result = await withQueueFiles(context, ({ queue }) => queue.import(folder, options));
  const { imported, skipped } = result;
  const text = [
    `${imported.length} jobs imported, ${skipped.length} left out`,
    ...skipped.slice(0, 20).map(({ file, reason }) => `  ${printableName(file)}: ${reason}`),
  ];
  context.output.result(result, text.join('\n'));
  const known = new Set(['a job of this name is here', 'it has been imported before']);
  return skipped.every(({ reason }) => known.has(reason)) ? exitCodes.ok : exitCodes.partlyDone;
}

function requeuedText({ requeued, skipped }: Requeued): string {
  return [
    `${requeued.length} jobs wait again, ${skipped.length} left where they are`,
    ...skipped.slice(0, 20).map(({ baseName, reason }) => `  ${printableName(baseName)}: ${reason}`),
  ].join('\n');
}
