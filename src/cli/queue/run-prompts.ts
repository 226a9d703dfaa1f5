import type { Client, WorkflowHandleWithFirstExecutionRunId } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';

import type { CleanQueueResult } from '../../workflows/clean.js';
import type { ConsumePromptsResult } from '../../workflows/consume.js';
import type { MonitorQueueResult } from '../../workflows/monitor.js';
import type { ProducePromptsResult } from '../../workflows/produce.js';
import { queueDirectory } from '../../syntx/open-syntx.js';
import type { CommandContext } from '../command-context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { waitForEnd } from '../runs/wait-for-runs.js';
import { outcomeText } from '../runs/workflow-outcome.js';
import { withClient } from '../temporal-client.js';
import { startCleaning, startConsumption, startMonitoring, startProduction } from './start-prompt-runs.js';

export interface WaitOptions {
  readonly wait?: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
}

export async function runProduce(
  { count, force, ...waiting }: WaitOptions & { readonly count?: number; readonly force?: boolean },
  context: CommandContext,
): Promise<ExitCode> {
  const start = (client: Client) => startProduction(client, { count, force });
  return run<ProducePromptsResult>(context, waiting, { start, describe: producedText });
}

export async function runConsume(
  { wrapper, batch, ...waiting }: WaitOptions & { readonly wrapper: string; readonly batch?: number },
  context: CommandContext,
): Promise<ExitCode> {
  const start = (client: Client) => startConsumption(client, { wrapper, batch });
  return run<ConsumePromptsResult>(context, waiting, {
    ...{ start, describe: consumedText },
    isWhole: ({ ended }) => ended === 'batch' || ended === 'empty',
  });
}

export async function runMonitor(waiting: WaitOptions, context: CommandContext): Promise<ExitCode> {
  const start = (client: Client) => startMonitoring(client, {});
  return run<MonitorQueueResult>(context, waiting, { start, describe: monitoredText });
}

export async function runClean(
  { dryRun, ...waiting }: WaitOptions & { readonly dryRun?: boolean },
  context: CommandContext,
): Promise<ExitCode> {
  const start = (client: Client) => startCleaning(client, { dryRun });
  return run<CleanQueueResult>(context, waiting, { start, describe: cleanedText });
}

interface PromptRun<Result> {
  readonly start: (client: Client) => Promise<WorkflowHandleWithFirstExecutionRunId<Workflow>>;
  readonly describe: (result: Result) => string;
  /** Whether everything was done that was asked for; default: it was. */
  readonly isWhole?: (result: Result) => boolean;
}

/** 1 when the run failed; 3, partly done, when it ended before all was done. */
async function run<Result>(
  context: CommandContext,
  { wait, timeout }: WaitOptions,
  { start, describe, isWhole = () => true }: PromptRun<Result>,
): Promise<ExitCode> {
  const { output } = context;
  queueDirectory(context.config.syntx);
  return withClient(context, async (session) => {
    const { workflowId, firstExecutionRunId: runId } = await start(session.client);
    if (wait !== true) {
      output.result(
        { workflowId, runId, status: 'started' },
        `Started ${workflowId}. \`tower watch ${workflowId}\` shows it.`,
      );
      return exitCodes.ok;
    }
    const ended = await waitForEnd(session, { workflowId, runId, timeoutMs: timeout }, output);
    if (ended.status !== 'completed') {
      output.result(ended, outcomeText(ended));
      return ended.status === 'cancelled' ? exitCodes.cancelled : exitCodes.failed;
    }
    const result = ended.result as Result;
    output.result(ended, `${outcomeText(ended)}\n${describe(result)}`);
    return isWhole(result) ? exitCodes.ok : exitCodes.partlyDone;
  });
}

function producedText(result: ProducePromptsResult): string {
  const { outcome, reason, requested, written, failed, learnedFrom, generation, archived, recovered } = result;
  const recoveredLine = recovered === 0 ? [] : [`  ${recovered} prompts of an interrupted run were written`];
  if (outcome === 'skipped') return [`  nothing made: ${reason}`, ...recoveredLine].join('\n');
  return [
    ...recoveredLine,
    `  ${reason}${result.simulated ? ' [simulated]' : ''}`,
    `  generation ${generation ?? '-'}: learned from ${learnedFrom} scored jobs`,
    `  ${written} of ${requested} prompts written, ${failed} failed, ${archived} jobs archived, ${result.paid.toFixed(4)} USD`,
  ].join('\n');
}

function consumedText(result: ConsumePromptsResult): string {
  const { claimed, processed, low, unscored, lost, meanScore, ended } = result;
  const mean = meanScore === null ? '' : `, mean score ${meanScore}`;
  const why = { batch: 'the batch is done', empty: 'nothing waits any more' }[ended] ?? ended;
  return [
    `  ${claimed} prompts: ${processed} processed, ${low} below the threshold, ${unscored} unscored${lost === 0 ? '' : `, ${lost} taken away`}${mean}`,
    `  ended: ${why}`,
  ].join('\n');
}

function monitoredText({ line, flags }: MonitorQueueResult): string {
  return [`  ${line}`, ...flags.map(({ text }) => `! ${text}`)].join('\n');
}

function cleanedText({ files, temporary, broken, logs, dryRun }: CleanQueueResult): string {
  const total = temporary + broken + logs;
  const named = files.map(
    ({ kind, path, ageHours, movedTo }) =>
      `  ${kind} ${path} (${ageHours} h)${movedTo === null ? '' : ` → ${movedTo}`}`,
  );
  const rest = total > files.length ? [`  and ${total - files.length} more: cleanup.log names them all`] : [];
  const summary = `  ${dryRun ? 'would be cleaned away' : 'cleaned away'}: ${temporary} temporary, ${broken} broken, ${logs} logs`;
  return [summary, ...named, ...rest].join('\n');
}
