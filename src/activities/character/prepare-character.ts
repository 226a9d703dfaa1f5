import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { runDirectory } from '../../training/run-directory.js';
import { readRunOwner, writeRunOwner } from '../../training/run-owner.js';
import { nextGeneration } from '../../training/stop-intent.js';
import { withHeartbeat } from '../heartbeat.js';
import { checked } from '../inputs.js';
import { isWorkflowOpen } from '../reap-orphans.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { checkJob, rendersImages } from './check-job.js';
import { checkTrainingPlace } from './check-training-place.js';
import { comfyuiClient } from './comfyui.js';
import { jobReferenceSchema, prepareInputSchema } from './inputs.js';
import type { CharacterHostActivities, PreparedCharacter } from './interfaces.js';
import { checkJobGraph, countImageFiles, makeRun, refuseRunInUse } from './prepare-run.js';
import { makerOfDataset, recordServer } from './server-record.js';

const minute = 60_000;

type Prepare = Pick<CharacterHostActivities, 'checkCharacterJob' | 'prepareCharacter'>;

/** `checkCharacterJob` and `prepareCharacter`: what has to be right before anything is made. */
export function prepareCharacter(environment: WorkerEnvironment): Prepare {
  const { config, paths, log, client } = environment;
  const awayMs = config.comfyui.awayMinutes * minute;
  const datasets = config.character.datasets ?? join(paths.home, 'datasets');

  async function prepare(
    input: unknown,
    context: Context,
    onProgress: (progress: { readonly stage: string }) => void,
  ): Promise<PreparedCharacter> {
    const { owner, run: earlier, ...reference } = checked(prepareInputSchema, input);
    const { job } = await checkJob(environment, { ...reference, run: earlier });
    const { workflowId = '', runId: workflowRunId = '' } = context.info.workflowExecution ?? {};
    const options = { signal: context.cancellationSignal, onProgress, log };
    const server = rendersImages(job)
      ? await checkJobGraph(job, { client: comfyuiClient(environment), awayMs }, options)
      : undefined;
    if (job.stages.includes('train')) await checkTrainingPlace(environment, job);
    if (earlier !== undefined) {
      const owned = await readRunOwner(runDirectory(join(paths.runs, earlier)));
      await refuseRunInUse(earlier, owned, { workflowId, isOpen: (id) => isWorkflowOpen(client, id) });
    }
    const run = await makeRun({ job, datasets, runs: paths.runs, owner, run: earlier });
    const files = runDirectory(run.paths.directory);
    await writeRunOwner(files, { workflowId, workflowRunId });
    const generates = job.stages.includes('generate');
    const maker = generates ? server : await makerOfDataset(run, paths.runs);
    const record = maker === undefined ? undefined : await recordServer(files.directory, maker);
    return {
      run: run.reservation.run,
      dataset: run.dataset.folder,
      planned: generates ? run.job.count : await countImageFiles(run.dataset.images),
      generation: await nextGeneration(files),
      simulated: record?.simulated ?? false,
    };
  }

  return {
    checkCharacterJob: async (input) => (await checkJob(environment, checked(jobReferenceSchema, input))).checked,
    prepareCharacter: (input) => {
      const context = Context.current();
      const periodMs = config.worker.heartbeatSeconds * 1000;
      return withHeartbeat<{ readonly stage: string }, PreparedCharacter>(context, periodMs, (onProgress) =>
        prepare(input, context, onProgress),
      );
    },
  };
}
