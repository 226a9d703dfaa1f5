import type { CharacterStage } from '../../character/job.js';
import type { CharacterLoraResult } from '../../workflows/character-lora.js';
import type { CommandContext } from '../command-context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import { waitForEnd } from '../runs/wait-for-runs.js';
import { outcomeText } from '../runs/workflow-outcome.js';
import { withClient } from '../temporal-client.js';
import type { JobOptions } from './job-options.js';
import { readJob } from './read-job.js';
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
  const { fields, job } = await readJob(options, stages);
  return withClient(context, async (session) => {
    const { run } = options;
    const handle = await startCharacterRun(session.client, { job: fields, ...(run !== undefined && { run }) });
    const { workflowId, firstExecutionRunId: runId } = handle;
    if (options.wait !== true) {
      output.result(
        { workflowId, runId, name: job.name, status: 'started' },
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
