import type { CharacterStage } from '../../character/job.js';
import { triggerNotice } from '../../character/trigger-notice.js';
import { TowerError } from '../../errors.js';
import type { CommandContext } from '../command-context.js';
import { exitCodes, type ExitCode } from '../exit-codes.js';
import type { Output } from '../output.js';
import { requireHost } from '../require-host.js';
import { waitForEnd } from '../runs/wait-for-runs.js';
import { outcomeText } from '../runs/workflow-outcome.js';
import { withClient } from '../temporal-client.js';
import type { JobOptions } from './job-options.js';
import { runIdOf, shortIdOf } from './character-id.js';
import { sayHowToGoOn } from './go-on.js';
import { flagFields, readJob, type ReadJob } from './read-job.js';
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
  if (options.timeout !== undefined && options.wait !== true) {
    throw new TowerError('USAGE', '--timeout says how long --wait waits', { next: 'Give both, or leave both out.' });
  }
  if (options.run !== undefined) refuseJobOptions(options);
  // A run that goes on has its job already.
  const job = options.run === undefined ? await jobOf(options, stages, output) : undefined;
  return withClient(context, async (session) => {
    const run = options.run === undefined ? undefined : await runIdOf(session.client, options.run);
    const wanted = job === undefined ? options.host : job.job.host;
    if (wanted !== undefined) await requireHost(session, wanted, context.config);
    // The host of a new run stands in its job.
    const host = run === undefined ? undefined : options.host;
    const handle = await startCharacterRun(session.client, { job: job?.fields, run, host });
    const { workflowId, firstExecutionRunId: runId } = handle;
    if (options.wait !== true) {
      output.result(
        { workflowId, runId, status: 'started' },
        `Started ${workflowId}. \`tower character watch ${shortIdOf(workflowId)}\` shows it.`,
      );
      return exitCodes.ok;
    }
    output.say(`started ${workflowId} (run ${runId})`);
    const outcome = await waitForEnd(session, { workflowId, timeoutMs: options.timeout }, output);
    output.result(outcome, outcomeText(outcome));
    await sayHowToGoOn(session.client, outcome, output);
    return outcome.status === 'completed' ? exitCodes.ok : exitCodes.failed;
  });
}

async function jobOf(
  options: JobOptions,
  stages: readonly CharacterStage[] | undefined,
  output: Output,
): Promise<ReadJob> {
  const read = await readJob(options, stages);
  const notice = triggerNotice(read.job);
  if (notice !== undefined) output.say(`warning ${notice}`);
  return read;
}

/** @throws TowerError `USAGE`: what is said of a job would have no effect. */
function refuseJobOptions(options: JobOptions): void {
  const { job, with: settings } = options;
  const fields = { ...flagFields(options), ...(job && { job }), ...(settings && { with: settings }) };
  // Where it goes on is no matter of its job.
  const given = Object.keys(fields).filter((name) => name !== 'host');
  if (given.length === 0) return;
  throw new TowerError('USAGE', `--run goes on with the job that the run has; take away ${given.join(', ')}`, {
    next: 'Start a new run to change the job; `tower character train --dataset` takes the images of an earlier one.',
  });
}
