import type { CommandContext } from '../command-context.js';
import { cancelWorkflow, pauseWorkflow, resumeWorkflow } from '../runs/control-workflows.js';
import { watchToOutcome } from '../runs/wait-for-runs.js';
import { outcomeText } from '../runs/workflow-outcome.js';
import { withClient } from '../temporal-client.js';
import { characterIdOf } from './character-id.js';

/** @returns whether it completed. */
export async function watchCharacter(run: string, context: CommandContext): Promise<boolean> {
  const outcome = await withClient(context, async (session) =>
    watchToOutcome(session, { workflowId: await characterIdOf(session.client, run) }, context.output),
  );
  context.output.line({ event: 'outcome', ...outcome }, outcomeText(outcome));
  return outcome.status === 'completed';
}

export async function pauseCharacter(run: string, context: CommandContext): Promise<void> {
  await pauseWorkflow(await wholeId(run, context), context);
}

export async function resumeCharacter(run: string, context: CommandContext): Promise<void> {
  await resumeWorkflow(await wholeId(run, context), context);
}

export async function cancelCharacter(
  run: string,
  { wait, timeout }: { readonly wait: boolean; readonly timeout: number },
  context: CommandContext,
): Promise<void> {
  await cancelWorkflow(await wholeId(run, context), { wait, timeoutMs: timeout }, context);
}

async function wholeId(run: string, context: CommandContext): Promise<string> {
  return withClient(context, ({ client }) => characterIdOf(client, run));
}
