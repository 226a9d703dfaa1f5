import type { CommandContext } from '../command-context.js';
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
  return [cycle, ...deliveries].map(outcomeText).join('\n');
}
