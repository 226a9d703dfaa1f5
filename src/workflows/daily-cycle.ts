import {
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  isCancellation,
  proxyActivities,
  rootCause,
  workflowInfo,
} from '@temporalio/workflow';

import type { HostActivities, IngestSummary, TowerActivities } from '../activities/interfaces.js';
import { asCancellation } from './cancellation.js';
import { CycleDisplay } from './cycle-display.js';
import { checkDailyInput } from './daily-input.js';
import { startDeliveries } from './deliveries.js';
import { dailyCycleWorkflowId } from './names.js';
import { PauseControl } from './pause-control.js';
import { briefPolicy, dailyCycleTimeout, hostWorkPolicy } from './policies.js';
import { trainCandidate, type TrainingRecord } from './train-candidate.js';

export interface DailyCycleInput {
  /** ISO 8601 with its zone; default: the start of this workflow (a manual run). */
  readonly logicalTime?: string;
  readonly force?: boolean;
  /** Promote what is trained, whatever the evaluation says; recorded as forced. */
  readonly forcePromote?: boolean;
  /** GPU host to run on; default: the least busy one. */
  readonly host?: string | undefined;
}

export interface DailyCycleResult {
  readonly logicalTime: string;
  readonly host: string;
  readonly outcome: 'trained' | 'nothing-to-train';
  readonly reason: string;
  readonly ingest: IngestSummary;
  readonly marked: number;
  readonly training?: TrainingRecord;
  /** Deliveries that go on by themselves, by workflow id. */
  readonly deliveries: readonly string[];
  readonly simulated: boolean;
}

const tower = proxyActivities<TowerActivities>(briefPolicy);

/**
 * `dailyCycle`: list → ingest → (anything to train?) → train → evaluate → deliver. One at a time: the workflow id is fixed, and any
 * other id is refused, so that two cycles can never share the ledger and the GPU.
 */
export async function dailyCycle(input: DailyCycleInput = {}): Promise<DailyCycleResult> {
  if (workflowInfo().workflowId !== dailyCycleWorkflowId) {
    throw ApplicationFailure.nonRetryable(
      `dailyCycle runs only under the workflow id ${dailyCycleWorkflowId}; start dailyTick, or use \`tower run daily\``,
      'WRONG_WORKFLOW_ID',
    );
  }
  checkDailyInput(input, ['logicalTime', 'force', 'forcePromote', 'host']);
  const display = new CycleDisplay();
  const pause = new PauseControl((paused) => display.setPaused(paused));
  const workflow = CancellationScope.current();
  try {
    const parts = { display, pause, workflow };
    const result = await CancellationScope.withTimeout(dailyCycleTimeout, () => runCycle(input, parts));
    display.finish(result.outcome, result.reason);
    return result;
  } catch (error) {
    if (isCancellation(error) && !workflow.consideredCancelled) {
      throw ApplicationFailure.nonRetryable(`the cycle was ended after ${dailyCycleTimeout}`, 'CYCLE_TIMED_OUT');
    }
    throw error;
  } finally {
    await CancellationScope.nonCancellable(() => condition(allHandlersFinished, '5 minutes'));
  }
}

interface CycleParts {
  readonly display: CycleDisplay;
  readonly pause: PauseControl;
  /** The scope of the whole workflow, cancelled on request only. */
  readonly workflow: CancellationScope;
}

async function runCycle(input: DailyCycleInput, { display, pause, workflow }: CycleParts): Promise<DailyCycleResult> {
  const logicalTime = new Date(input.logicalTime ?? workflowInfo().startTime).toISOString();
  const cycle = { logicalTime };
  display.start(logicalTime);

  const placement = await tower.choosePlacement({ host: input.host });
  display.place(placement);
  const host = proxyActivities<HostActivities>(hostWorkPolicy(placement));
  try {
    display.stage('ingest');
    const ingest = await host.ingestBatches(cycle);
    display.ingested(ingest);

    await pause.gate();
    display.stage('plan');
    const plan = await host.planTraining({ ...cycle, force: input.force ?? false });
    const { forcePromote = false } = input;
    const training =
      plan.decision === 'train' ? await trainCandidate(plan, { placement, display, pause, forcePromote }) : undefined;

    await pause.gate();
    display.stage('deliver');
    const deliveries = await startDeliveries(host, placement, training?.supersedes ?? []);
    const settled = await host.markSettledBatches({ mustFinish: false });
    const outcome = training ? 'trained' : 'nothing-to-train';
    const reason = reasonOf(plan.reason, training?.record);
    await host.recordCycle({ ...cycle, outcome, reason });
    return {
      logicalTime,
      host: placement.host,
      outcome,
      reason,
      ingest,
      marked: settled.marked,
      ...(training && { training: training.record }),
      deliveries,
      simulated: placement.simulated,
    };
  } catch (thrown) {
    const error = asCancellation(thrown);
    const record = { ...cycle, ...endOf(error, workflow) };
    await CancellationScope.nonCancellable(() => host.recordCycle(record));
    throw error;
  }
}

/** How a cycle ended that did not come to its end, and why; a cancellation itself carries no words. */
function endOf(error: unknown, workflow: CancellationScope): { readonly outcome: string; readonly reason: string } {
  if (!isCancellation(error))
    return { outcome: 'failed', reason: (rootCause(error) ?? 'no reason given').slice(0, 500) };
  return workflow.consideredCancelled
    ? { outcome: 'cancelled', reason: 'cancelled on request; the next cycle goes on from what is saved' }
    : { outcome: 'failed', reason: `ended after ${dailyCycleTimeout}; the next cycle goes on from what is saved` };
}

/** Why the day ended as it did: for a day whose candidate was not promoted, also why not. */
function reasonOf(planned: string, training: TrainingRecord | undefined): string {
  return training === undefined || training.promoted
    ? planned
    : `${planned}; not promoted: ${training.promotionReason}`;
}
