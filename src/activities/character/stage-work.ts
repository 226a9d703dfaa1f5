import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { openRun, type CharacterRun } from '../../character/character-run.js';
import type { ServiceOptions } from '../../service-options.js';
import { runDirectory } from '../../training/run-directory.js';
import { readRunOwner } from '../../training/run-owner.js';
import { withHeartbeat } from '../heartbeat.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { withStageBudget, type StageBudget } from './stage-budget.js';

/** What a stage of a run may cost, for the workflow that has ordered this activity, in however many executions. */
export async function stageBudget(
  { log }: Pick<WorkerEnvironment, 'log'>,
  { job, paths }: CharacterRun,
  stage: StageBudget['stage'],
): Promise<StageBudget> {
  const { firstRunId } = (await readRunOwner(runDirectory(paths.directory))) ?? {};
  // An older Tower did not record it.
  const owner = firstRunId ?? Context.current().info.workflowExecution?.workflowId ?? '';
  return { runDirectory: paths.directory, stage, owner, retries: job.limits[stage].retries, log };
}

/** Work of a stage on the host's files, with a heartbeat and within the stage's budget. */
export async function stageWork<Progress, Result>(
  environment: WorkerEnvironment,
  { run: id, stage }: { readonly run: string; readonly stage: StageBudget['stage'] },
  work: (run: CharacterRun, options: ServiceOptions<Progress>) => Promise<Result>,
): Promise<Result> {
  const { config, paths } = environment;
  const run = await openRun(join(paths.runs, id));
  const context = Context.current();
  const log = environment.log.child({ runId: id });
  const budget = await stageBudget(environment, run, stage);
  return withHeartbeat<Progress, Result>(context, config.worker.heartbeatSeconds * 1000, (onProgress) =>
    withStageBudget(budget, () => work(run, { signal: context.cancellationSignal, onProgress, log })),
  );
}
