import type { CommandContext } from '../command-context.js';
import { cancelWorkflow, pauseWorkflow, resumeWorkflow } from '../runs/control-workflows.js';
import { watchToOutcome } from '../runs/wait-for-runs.js';
import { outcomeText } from '../runs/workflow-outcome.js';
import { withClient } from '../temporal-client.js';
import { characterIdOf } from './character-id.js';
import { sayHowToGoOn } from './go-on.js';

/** @returns whether it completed. */
export async function watchCharacter(run: string, context: CommandContext): Promise<boolean> {
  const { output } = context;
  return withClient(context, async (session) => {
    const workflowId = await characterIdOf(session.client, run);
    const outcome = await watchToOutcome(session, { workflowId }, output);
    output.line({ event: 'outcome', ...outcome }, outcomeText(outcome));
    await sayHowToGoOn(session.client, outcome, output);
    return outcome.status === 'completed';
  });
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
  const workflowId = await wholeId(run, context);
  await cancelWorkflow(workflowId, { wait, timeoutMs: timeout }, context);
  if (!wait) return;
  const outcome = { workflowId, status: 'cancelled', failure: null } as const;
  await withClient(context, ({ client }) => sayHowToGoOn(client, outcome, context.output));
}

async function wholeId(run: string, context: CommandContext): Promise<string> {
  return withClient(context, ({ client }) => characterIdOf(client, run));
}
