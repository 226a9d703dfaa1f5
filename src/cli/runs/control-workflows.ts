import type { PauseRecord } from '../../activities/interfaces.js';
import { TowerError } from '../../errors.js';
import type { CommandContext } from '../command-context.js';
import { localTime } from '../durations.js';
import { interruptible } from '../interruption.js';
import { pause, resume } from './start-workflows.js';
import { withClient, type TemporalSession } from '../temporal-client.js';
import { waitForEnd } from './wait-for-runs.js';
import { outcomeText } from './workflow-outcome.js';
import { isOpen, takeSnapshot } from './workflow-snapshot.js';

/** After this long without an answer, a person is told what may be wrong. */
const patienceMs = 10_000;

/**
 * Asks a workflow to end, and waits until it has.
 *
 * @throws TowerError `NOT_FOUND`, `NOT_RUNNING`, `WAIT_TIMED_OUT`, `CANCELLED` (of the waiting).
 */
export async function cancelWorkflow(
  workflowId: string,
  options: { readonly wait: boolean; readonly timeoutMs: number },
  context: CommandContext,
): Promise<void> {
  const { output } = context;
  await withClient(context, async (session) => {
    const { runId } = await openWorkflow(session, workflowId);
    await session.client.workflow.getHandle(workflowId, runId).cancel();
    if (!options.wait) {
      output.result(
        { workflowId, runId, status: 'cancelling' },
        `${workflowId} was asked to end. \`tower watch ${workflowId}\` shows it.`,
      );
      return;
    }
    output.say(`${workflowId} was asked to end; waiting until it has`);
    const outcome = await waitForEnd(session, { workflowId, runId, timeoutMs: options.timeoutMs }, output);
    output.result(outcome, outcomeText(outcome));
  });
}

/** Waits until the state is saved and the GPU is free; Ctrl-C ends the waiting, not the pause. */
export async function pauseWorkflow(workflowId: string, context: CommandContext): Promise<void> {
  const record = await withClient(context, async (session) => {
    await openWorkflow(session, workflowId);
    return answered(context, `pausing ${workflowId}`, () => pause(session.client, workflowId));
  });
  const next = `\`tower resume ${workflowId}\` lets it go on.`;
  context.output.result({ workflowId, ...record }, `${workflowId} is paused: ${pausedText(record)}. ${next}`);
}

export async function resumeWorkflow(workflowId: string, context: CommandContext): Promise<void> {
  await withClient(context, async (session) => {
    await openWorkflow(session, workflowId);
    await answered(context, `resuming ${workflowId}`, () => resume(session.client, workflowId));
  });
  context.output.result(
    { workflowId, state: 'resumed' },
    `${workflowId} goes on. \`tower watch ${workflowId}\` shows it.`,
  );
}

async function openWorkflow({ client }: TemporalSession, workflowId: string): Promise<{ readonly runId: string }> {
  const { runId, status, closedAt } = await takeSnapshot(client, workflowId);
  if (isOpen(status)) return { runId };
  const when = closedAt === null ? '' : ` since ${localTime(closedAt)}`;
  throw new TowerError('NOT_RUNNING', `${workflowId} does not run: it is ${status}${when}`, {
    next: '`tower status` lists what runs.',
  });
}

/** Waits for the answer of a workflow, which needs a control worker; says so when there is none for a while. */
export async function answered<Result>(
  context: CommandContext,
  what: string,
  ask: () => Promise<Result>,
): Promise<Result> {
  context.output.say(what);
  const hint = setTimeout(() => {
    context.output.say(
      'no answer yet: a trainer that saves its state takes a while; `tower status` tells whether a control worker runs',
    );
  }, patienceMs);
  try {
    return await interruptible((signal) => Promise.race([ask(), rejection(signal)]));
  } finally {
    clearTimeout(hint);
  }
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => {
      const next = '`tower status` shows where the run stands.';
      reject(new TowerError('CANCELLED', 'stopped waiting; the request stands', { next }));
    });
  });
}

function pausedText({ state, step, unit = 'steps' }: PauseRecord): string {
  switch (state) {
    case 'saved':
      if (unit === 'images') return `${step} images are accepted and kept`;
      return `a complete state is saved at step ${step}`;
    case 'idle':
      return 'there was no state to save; what cannot be interrupted comes to its end, and the next stage waits';
    case 'finished':
      return `the trainer had ended by itself at step ${step}`;
  }
}
