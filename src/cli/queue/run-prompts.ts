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
  return run<ProducePromptsResult>(context, waiting, { start });
}

export async function runConsume(
  { wrapper, batch, ...waiting }: WaitOptions & { readonly wrapper: string; readonly batch?: number },
  context: CommandContext,
): Promise<ExitCode> {
  const start = (client: Client) => startConsumption(client, { wrapper, batch });
  return run<ConsumePromptsResult>(context, waiting, {
    start,
    isWhole: ({ ended }) => ended === 'batch' || ended === 'empty',
  });
}

export async function runMonitor(waiting: WaitOptions, context: CommandContext): Promise<ExitCode> {
  const start = (client: Client) => startMonitoring(client, {});
  return run<MonitorQueueResult>(context, waiting, { start });
}

export async function runClean(
  { dryRun, ...waiting }: WaitOptions & { readonly dryRun?: boolean },
  context: CommandContext,
): Promise<ExitCode> {
  const start = (client: Client) => startCleaning(client, { dryRun });
  return run<CleanQueueResult>(context, waiting, { start });
}

interface PromptRun<Result> {
  readonly start: (client: Client) => Promise<WorkflowHandleWithFirstExecutionRunId<Workflow>>;
  /** Whether everything was done that was asked for; default: it was. */
  readonly isWhole?: (result: Result) => boolean;
}

/** 1 when the run failed; 3, partly done, when it ended before all was done. */
async function run<Result>(
  context: CommandContext,
  { wait, timeout }: WaitOptions,
  { start, isWhole = () => true }: PromptRun<Result>,
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
    output.result(ended, outcomeText(ended));
    if (ended.status === 'completed') return isWhole(ended.result as Result) ? exitCodes.ok : exitCodes.partlyDone;
    return ended.status === 'cancelled' ? exitCodes.cancelled : exitCodes.failed;
  });
}
