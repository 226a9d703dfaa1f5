import type { CharacterStage } from '../../character/job.js';
import type { CharacterLoraResult } from '../../workflows/character-lora.js';
import { TowerError } from '../../errors.js';
import type { CommandContext } from '../command-context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { waitForEnd } from '../runs/wait-for-runs.js';
import { outcomeText } from '../runs/workflow-outcome.js';
import { withClient } from '../temporal-client.js';
import type { JobOptions } from './job-options.js';
import { flagFields, readJob } from './read-job.js';
import { resultLines } from './result-text.js';
import { startCharacterRun } from './start-character-lora.js';

/**
 * Starts a run; with `wait` its exit code tells how it ended.
 *
 * @param stages - Default: those of the job.
 */
export async function startCharacter(
  options: JobOptions & { readonly run?: string; readonly wait?: boolean; readonly timeout?: number },
  stages: readonly CharacterStage[] | undefined,
  context: CommandContext,
): Promise<ExitCode> {
  const { output } = context;
  const { run } = options;
  if (run !== undefined) refuseJobOptions(options);
  // A run that goes on has its job already.
  const job = run === undefined ? (await readJob(options, stages)).fields : undefined;
  return withClient(context, async (session) => {
    const handle = await startCharacterRun(session.client, { ...(job && { job }), ...(run !== undefined && { run }) });
    const { workflowId, firstExecutionRunId: runId } = handle;
    if (options.wait !== true) {
      output.result(
        { workflowId, runId, status: 'started' },
        `Started ${workflowId}. \`tower watch ${workflowId}\` shows it.`,
      );
      return exitCodes.ok;
    }
    output.say(`started ${workflowId} (run ${runId})`);
    const outcome = await waitForEnd(session, { workflowId, timeoutMs: options.timeout }, output);
    const facts = outcome.status === 'completed' ? resultLines(outcome.result as CharacterLoraResult) : [];
    output.result(outcome, [outcomeText(outcome), ...facts].join('\n'));
    return outcome.status === 'completed' ? exitCodes.ok : exitCodes.failed;
  });
}

/** @throws TowerError `USAGE`: what is said of a job would have no effect. */
function refuseJobOptions(options: JobOptions): void {
  const { job, with: settings } = options;
  const given = Object.keys({ ...flagFields(options), ...(job && { job }), ...(settings && { with: settings }) });
  if (given.length === 0) return;
  throw new TowerError('USAGE', `--run goes on with the job that the run has; take away ${given.join(', ')}`, {
    next: 'Start a new run to change the job; `tower character train --dataset` takes the images of an earlier one.',
  });
}
