import { join } from 'node:path';

import { openRun, type CharacterRun } from '../../character/character-run.js';
import type { CharacterJob } from '../../character/job.js';
import { joinTags } from '../../character/prompts.js';
import { refuseOtherCaptions } from '../../character/refuse-other-captions.js';
import { TowerError } from '../../errors.js';
import { exists } from '../../files/exists.js';
import { findDevice } from '../../gpu/devices.js';
import { checkDataset } from '../../kohya/check-dataset.js';
import { createKohyaDriver, createSimulatedKohyaDriver } from '../../kohya/driver.js';
import { followingFirst, recordedFollower } from '../../kohya/follower.js';
import { probeInstallation } from '../../kohya/installation.js';
import { kohyaOptionsSchema, type KohyaOptions } from '../../kohya/options.js';
import type { KohyaRun } from '../../kohya/order.js';
import { choosePrecision } from '../../kohya/precision.js';
import { kohyaRunFiles } from '../../kohya/run-files.js';
import { kohyaSampleSchema, type KohyaSample } from '../../kohya/samples.js';
import { readLaunches } from '../../training/launch-record.js';
import { runDirectory } from '../../training/run-directory.js';
import type { TrainerDriver } from '../../training/trainer-driver.js';
import type { WorkerEnvironment } from '../worker-environment.js';
import { checkpointPath } from './comfyui.js';
import { proofPromptOf } from './proof-prompt.js';

type Environment = Pick<WorkerEnvironment, 'config' | 'paths' | 'log'>;

/**
 * The driver of a character run's training. One that has begun is followed by its record: images and sd-scripts may have changed
 * since, and count when a trainer is started again.
 *
 * @param gpuIndex - The GPU that decides the precision; only for starting a trainer.
 */
export async function kohyaDriver(environment: Environment, id: string, gpuIndex = 0): Promise<TrainerDriver> {
  const { paths, log } = environment;
  const run = await openRun(join(paths.runs, id));
  const build = () => presentDriver(environment, run, gpuIndex);
  const { directory } = run.paths;
  if ((await readLaunches(runDirectory(directory))).length === 0) return build();
  const recorded = await recordedFollower({ runDirectory: directory, log });
  return recorded === undefined ? build() : followingFirst(recorded, build);
}

/**
 * As the job and this host's configuration want it now. Without sd-scripts it is the stand-in's, where the job allows that.
 *
 * @throws TowerError `KOHYA_DATASET_INVALID`, `SD_SCRIPTS_NOT_FOUND` and others of the installation, `UNKNOWN_GPU`
 */
async function presentDriver(environment: Environment, run: CharacterRun, gpuIndex: number): Promise<TrainerDriver> {
  const order = await orderOf(environment, run);
  const driver = await driverOf(order, { config: environment.config, gpuIndex });
  return {
    ...driver,
    // Before each start of the trainer, which reads the captions then: another run may have written its own since.
    async prepare() {
      await refuseOtherCaptions(run);
      await driver.prepare();
    },
  };
}

async function driverOf(
  order: KohyaRun,
  { config, gpuIndex }: Pick<Environment, 'config'> & { readonly gpuIndex: number },
): Promise<TrainerDriver> {
  const { sdScripts: folder } = config.character;
  if (folder === undefined) {
    return createSimulatedKohyaDriver({
      ...order,
      simulation: { secondsPerStep: config.train.simulatedSecondsPerStep },
    });
  }
  const python = await pythonOf(folder, config.character.python);
  const installation = await probeInstallation({ folder, python });
  const { nvidiaSmi } = config.gpu;
  const precision = await choosePrecision(await findDevice(gpuIndex, nvidiaSmi), nvidiaSmi);
  return createKohyaDriver({ ...order, installation, python, precision, hideGpus: nvidiaSmi === 'none' });
}

/**
 * All options of a job's training: what it leaves open comes from its images and this host's folders.
 *
 * @throws TowerError `KOHYA_OPTIONS_INVALID`, `SD_SCRIPTS_NOT_CONFIGURED`, `COMFYUI_NOT_CONFIGURED`
 */
export function kohyaOptions(environment: Pick<Environment, 'config'>, job: CharacterJob): KohyaOptions {
  const { sdScripts } = environment.config.character;
  if (sdScripts === undefined && !job.allowSimulated) {
    throw new TowerError(
      'SD_SCRIPTS_NOT_CONFIGURED',
      'character.sdScripts is not set, and the job allows no simulation',
      {
        next: 'Set character.sdScripts to the folder of sd-scripts or kohya_ss; to try things out, allow the stand-in by --allow-simulated.',
      },
    );
  }
  const parsed = kohyaOptionsSchema.safeParse({
    resolution: `${job.width},${job.height}`,
    ...job.kohya,
    pretrained_model_name_or_path: job.kohya.pretrained_model_name_or_path ?? baseModelOf(environment, job),
  });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `kohya.${path.join('.')}: ${message}`);
  throw new TowerError('KOHYA_OPTIONS_INVALID', `the options of the training do not fit:\n${faults.join('\n')}`, {
    next: 'docs/character-lora.md lists the options of the trainer.',
  });
}

function baseModelOf(environment: Pick<Environment, 'config'>, { checkpoint }: CharacterJob): string {
  const path = checkpointPath(environment, checkpoint);
  if (path !== undefined) return path;
  throw new TowerError('COMFYUI_NOT_CONFIGURED', `there is no folder in which the trainer would find ${checkpoint}`, {
    next: 'Set comfyui.directory or comfyui.checkpointDirectory, or kohya.pretrained_model_name_or_path in the job.',
  });
}

async function orderOf(environment: Environment, run: CharacterRun): Promise<KohyaRun> {
  const { job, paths, dataset, reservation } = run;
  const options = kohyaOptions(environment, job);
  const given = job.stages.includes('generate') ? undefined : await sizesOf(run, options);
  const only = given?.length === 1 ? given[0] : undefined;
  return {
    runId: reservation.run,
    runDirectory: paths.directory,
    baseModelKind: job.baseModelKind,
    options: only === undefined || job.kohya.resolution !== undefined ? options : notEnlarging(options, only),
    images: dataset.images,
    oneSize: given === undefined || only !== undefined,
    samples: samplesOf(job),
    outputName: job.output,
    log: environment.log,
  };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/**
 * Proves that the trainer can read the images and captions of a dataset that was there before, ahead of the wait for the GPU.
 *
 * @throws TowerError `KOHYA_DATASET_INVALID` naming the files
 */
export async function checkGivenDataset(environment: Pick<Environment, 'config'>, run: CharacterRun): Promise<void> {
  await sizesOf(run, kohyaOptions(environment, run.job));
}

/** Which sizes the images of a dataset that was there before have. */
async function sizesOf({ dataset, paths }: CharacterRun, options: KohyaOptions): Promise<readonly Size[]> {
  const record = kohyaRunFiles(paths.directory).datasetCheck;
  return (await checkDataset({ folder: dataset.images, options, record })).sizes;
}

/** Options under which images of one size are not trained larger than they are: that costs memory, and shows nothing more. */
export function notEnlarging(options: KohyaOptions, { width, height }: Size): KohyaOptions {
  // sd-scripts refuses buckets of which none would do.
  const least = options.enable_bucket === true ? (options.min_bucket_reso ?? 256) : 64;
  const fitting = (side: number, wanted: number) => Math.min(wanted, Math.max(least, Math.floor(side / 64) * 64));
  const [wantedWidth, wantedHeight] = options.resolution;
  return { ...options, resolution: [fitting(width, wantedWidth), fitting(height, wantedHeight)] };
}

/** The proof's prompt, with other seeds from the second on. */
export function samplesOf(job: CharacterJob): KohyaSample[] {
  const { choose, proof, width, height, steps, cfg, negative } = job;
  return Array.from({ length: choose.samples }, (_, index) =>
    kohyaSampleSchema.parse({
      ...{ prompt: proof.prompt ?? proofPromptOf(job), negative: joinTags(negative), width, height, steps },
      ...{ seed: proof.seed + index, scale: cfg },
    }),
  );
}

/** Python of sd-scripts: the configured one, else that of the environment which the installers of sd-scripts and kohya_ss make. */
export async function pythonOf(folder: string, configured: string | undefined): Promise<string> {
  if (configured !== undefined) return configured;
  for (const name of ['venv', '.venv']) {
    const python = join(folder, name, 'bin', 'python');
    if (await exists(python)) return python;
  }
  return 'python3';
}
