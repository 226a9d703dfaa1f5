import type { DailyCycleResult } from '../../workflows/daily-cycle.js';
import type { CommandContext } from '../command-context.js';
import { evaluationLines } from '../adapters/evaluation-text.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { startCycle } from './start-workflows.js';
import { withClient } from '../temporal-client.js';
import { waitForCycle, type CycleOutcome } from './wait-for-runs.js';
import { outcomeText } from './workflow-outcome.js';

export interface RunDailyOptions {
  readonly force?: boolean;
  readonly forcePromote?: boolean;
  readonly host?: string;
  readonly wait?: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
}

/** Starts a cycle; with `wait` its exit code tells how it and its deliveries ended. */
export async function runDaily(options: RunDailyOptions, context: CommandContext): Promise<ExitCode> {
  const { output } = context;
  return withClient(context, async (session) => {
    const { force = false, forcePromote = false, host } = options;
    const handle = await startCycle(session.client, { force, forcePromote, host });
    const { workflowId, firstExecutionRunId: runId } = handle;
    if (options.wait !== true) {
      output.result(
        { workflowId, runId, status: 'started' },
        `Started ${workflowId}. \`tower watch ${workflowId}\` shows it.`,
      );
      return exitCodes.ok;
    }
    output.say(`started ${workflowId} (run ${runId})`);
    const ended = await waitForCycle(session, { workflowId, runId, timeoutMs: options.timeout }, output);
    output.result({ ...ended.cycle, deliveries: ended.deliveries }, endedText(ended));
    return exitCodeOfCycle(ended);
  });
}

/** 1 when the cycle failed; 3, partly done, when only a delivery did. */
function exitCodeOfCycle({ cycle, deliveries }: CycleOutcome): ExitCode {
  if (cycle.status !== 'completed') return exitCodes.failed;
  return deliveries.every(({ status }) => status === 'completed') ? exitCodes.ok : exitCodes.partlyDone;
}

function endedText({ cycle, deliveries }: CycleOutcome): string {
  const facts = cycle.status === 'completed' ? resultLines(cycle.result as DailyCycleResult) : [];
  return [outcomeText(cycle), ...facts, ...deliveries.map(outcomeText)].join('\n');
}

function resultLines({ outcome, reason, ingest, training, marked, simulated }: DailyCycleResult): string[] {
  const { rows } = ingest;
  const superseded = rows.stale + rows.duplicate;
  return [
    `  ${outcome}: ${reason}${simulated ? ' [simulated]' : ''}`,
    `  batches: ${ingest.imported} imported, ${ingest.quarantined} quarantined, ${ingest.postponedCount} postponed, ${marked} marked`,
    `  rows: ${rows.new} new, ${rows.updated} updated, ${superseded} superseded, ${rows.quarantined} quarantined`,
    ...(training === undefined ? [] : trainingLines(training)),
  ];
}

function trainingLines(training: NonNullable<DailyCycleResult['training']>): string[] {
  const loss = (value: number | null) => (value === null ? 'not measured' : value.toFixed(4));
  const [losses, decision] = evaluationLines(training);
  return [
    `  ${training.version}: ${training.executedSteps} of ${training.plannedSteps} steps, ${training.redoneSteps} redone, ${training.launches} trainer start(s)`,
    `  loss: training ${loss(training.trainLoss)}, held out ${loss(training.heldOutLoss)}`,
    `  held-out loss: ${losses}`,
    `  ${decision}`,
  ];
}
