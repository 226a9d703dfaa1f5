import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { requireEnoughImages } from '../../character/caption-dataset.js';
import { imageFilesIn } from '../../character/dataset-images.js';
import { readReservation, requireDataset } from '../../character/dataset.js';
import { isApproved } from '../../character/review.js';
import { runDirectory } from '../../training/run-directory.js';
import { readRunOwner, writeRunOwner } from '../../training/run-owner.js';
import { nextGeneration } from '../../training/stop-intent.js';
import { Turns } from '../../turns.js';
import { withHeartbeat } from '../heartbeat.js';
import { checked } from '../inputs.js';
import { isWorkflowOpen } from '../reap-orphans.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { checkJob, rendersImages } from './check-job.js';
import { checkTrainingPlace } from './check-training-place.js';
import { comfyuiClient } from './comfyui.js';
import { jobReferenceSchema, prepareInputSchema } from './inputs.js';
import type { CharacterHostActivities, PreparedCharacter } from './interfaces.js';
import { checkGivenDataset } from './kohya-driver.js';
import { checkJobGraph, makeRun, refuseRunInUse } from './prepare-run.js';
import { refuseDatasetInUse } from './refuse-dataset-in-use.js';
import { makerOfDataset, recordComfyui } from '../../character/comfyui-record.js';

const minute = 60_000;

type Prepare = Pick<CharacterHostActivities, 'checkCharacterJob' | 'prepareCharacter'>;

/** `checkCharacterJob` and `prepareCharacter`: what has to be right before anything is made. */
export function prepareCharacter(environment: WorkerEnvironment): Prepare {
  const { config, paths, log, client } = environment;
  const awayMs = config.comfyui.awayMinutes * minute;
  const datasets = config.character.datasets ?? join(paths.home, 'datasets');
  // Of two runs that would use one folder at the same moment, the second has to see the first: one process prepares them all.
  const takingRuns = new Turns();

  /** Folder of an earlier run that nobody works on. @throws TowerError `NOT_FOUND`, `RUN_IN_USE` */
  async function datasetOfFree(run: string, asked: Parameters<typeof refuseRunInUse>[2]): Promise<string> {
    const directory = join(paths.runs, run);
    await refuseRunInUse(run, await readRunOwner(runDirectory(directory)), asked);
    return (await readReservation(directory)).dataset;
  }

  async function prepare(
    input: unknown,
    context: Context,
    onProgress: (progress: { readonly stage: string }) => void,
  ): Promise<PreparedCharacter> {
    const { owner, run: earlier, ...reference } = checked(prepareInputSchema, input);
    const { job } = await checkJob(environment, { ...reference, run: earlier });
    // That of a run that goes on may have been moved since.
    if (job.dataset !== undefined) await requireDataset(job.dataset);
    const { workflowId = '', runId: workflowRunId = '' } = context.info.workflowExecution ?? {};
    const options = { signal: context.cancellationSignal, onProgress, log };
    const server = rendersImages(job)
      ? await checkJobGraph(job, { client: comfyuiClient(environment), awayMs }, options)
      : undefined;
    if (job.stages.includes('train')) await checkTrainingPlace(environment, job);
    const run = await takingRuns.take(async () => {
      const isOpen = (id: string) => isWorkflowOpen(client, id);
      const dataset = earlier === undefined ? job.dataset : await datasetOfFree(earlier, { workflowId, isOpen });
      if (dataset !== undefined) await refuseDatasetInUse({ job, dataset, runs: paths.runs, workflowId, isOpen });
      const made = await makeRun({ job, datasets, runs: paths.runs, owner, run: earlier });
      await writeRunOwner(runDirectory(made.paths.directory), { workflowId, workflowRunId, firstRunId: owner });
      return made;
    });
    if (job.stages[0] === 'train') {
      await checkGivenDataset(environment, run);
      await requireEnoughImages(run);
    }
    const files = runDirectory(run.paths.directory);
    const generates = job.stages.includes('generate');
    const maker = generates ? server : await makerOfDataset(run, paths.runs);
    const record = maker === undefined ? undefined : await recordComfyui(files.directory, maker);
    return {
      run: run.reservation.run,
      dataset: run.dataset.folder,
      planned: generates ? run.job.count : (await imageFilesIn(run.dataset.images)).length,
      approved: await isApproved(run),
      generation: await nextGeneration(files),
      simulated: record?.simulated ?? false,
    };
  }

  const periodMs = config.worker.heartbeatSeconds * 1000;
  return {
    checkCharacterJob: (input) =>
      // It may ask a driver of GPUs that takes its time.
      withHeartbeat(Context.current(), periodMs, async () => {
        return (await checkJob(environment, checked(jobReferenceSchema, input))).checked;
      }),
    prepareCharacter: (input) => {
      const context = Context.current();
      return withHeartbeat<{ readonly stage: string }, PreparedCharacter>(context, periodMs, (onProgress) =>
        prepare(input, context, onProgress),
      );
    },
  };
}
