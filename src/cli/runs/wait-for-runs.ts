import { TowerError } from '../../errors.js';
import { durationText } from '../durations.js';
import { interruptible } from '../interruption.js';
import type { Output } from '../output.js';
import { createProgressView, jsonView, type ProgressView } from './progress-view.js';
import type { TemporalSession } from '../temporal-client.js';
import { watchWorkflow, type WatchedWorkflow } from './watch-workflow.js';
import type { WorkflowOutcome } from './workflow-outcome.js';

/** `tower watch`: shows one workflow until it is closed. */
export async function watchToOutcome(
  session: TemporalSession,
  watched: WatchedWorkflow,
  output: Output,
): Promise<WorkflowOutcome> {
  const view = output.json ? jsonView(output) : await createProgressView(output);
  return waiting(view, { workflowId: watched.workflowId }, (signal) => watchWorkflow(session, watched, view, signal));
}

/** Waits for the end of a workflow, such as one that was asked to end. */
export async function waitForEnd(
  session: TemporalSession,
  watched: WatchedWorkflow & { readonly timeoutMs: number | undefined },
  output: Output,
): Promise<WorkflowOutcome> {
  const view = await createProgressView(output);
  return waiting(view, watched, (signal) => watchWorkflow(session, watched, view, signal));
}

export interface CycleOutcome {
  readonly cycle: WorkflowOutcome;
  /** Of the deliveries that the cycle started. */
  readonly deliveries: readonly WorkflowOutcome[];
}

/** `tower run daily --wait`: the cycle, then the deliveries it has started. */
export async function waitForCycle(
  session: TemporalSession,
  watched: WatchedWorkflow & { readonly timeoutMs: number | undefined },
  output: Output,
): Promise<CycleOutcome> {
  const view = await createProgressView(output);
  return waiting(view, watched, async (signal) => {
    const cycle = await watchWorkflow(session, watched, view, signal);
    const deliveries: WorkflowOutcome[] = [];
    for (const workflowId of deliveriesOf(cycle)) {
      deliveries.push(await watchWorkflow(session, { workflowId }, view, signal));
    }
    return { cycle, deliveries };
  });
}

/**
 * Waits within the limits of patience: an error of Ctrl-C or of a time-out says that the work goes on, and how to look at
 * it or end it.
 */
async function waiting<Result>(
  view: ProgressView,
  { workflowId, timeoutMs }: { readonly workflowId: string; readonly timeoutMs?: number | undefined },
  watch: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const next = `\`tower watch ${workflowId}\` shows it; \`tower cancel ${workflowId}\` ends it.`;
  try {
    return await interruptible(async (interrupted) => {
      const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
      try {
        return await watch(timeout === undefined ? interrupted : AbortSignal.any([interrupted, timeout]));
      } catch (error) {
        if (interrupted.aborted) throw new TowerError('CANCELLED', `stopped waiting; ${workflowId} goes on`, { next });
        if (timeout?.aborted !== true || error !== timeout.reason) throw error;
        const waited = durationText(timeoutMs ?? 0);
        throw new TowerError('WAIT_TIMED_OUT', `${workflowId} has not ended after ${waited}; it goes on`, { next });
      }
    });
  } finally {
    view.close();
  }
}

function deliveriesOf(cycle: WorkflowOutcome): readonly string[] {
  const result = cycle.result as { readonly deliveries?: readonly string[] } | null;
  return result?.deliveries ?? [];
}
