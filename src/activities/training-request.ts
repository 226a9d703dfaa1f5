import { join } from 'node:path';

import type { Context } from '@temporalio/activity';

import { cacheDirectory } from '../config/locations.js';
import type { Config } from '../config/schema.js';
import { createEvaluationDriver, createSimulatedEvaluationDriver } from '../evaluation/driver.js';
import { readEvaluationPlan } from '../evaluation/evaluation-plan.js';
import { gpuLockPath } from '../gpu/devices.js';
import type { RoomProgress } from '../gpu/make-room.js';
import { createQloraDriver, createSimulatedQloraDriver } from '../qlora/driver.js';
import { findTrainerPython } from '../toolchain/python-environment.js';
import type { TrainerDriver } from '../training/trainer-driver.js';
import type { TrainingRequest } from '../training/training-request.js';
import type { RunReference } from './interfaces.js';
import { gigabytes, makeRoomFor, roomWait, type RoomWait, type VramSetting } from './make-room-for.js';
import type { WorkerEnvironment } from './worker-environment.js';

const minute = 60_000;
const gigabyte = 2 ** 30;

/** A run, what trains it, and what that needs of the GPU. */
export interface SupervisedRun extends RunReference {
  readonly driver: TrainerDriver;
  readonly vramGigabytes: number | undefined;
  /** The setting that says so. */
  readonly vramSetting: VramSetting;
  /** Told what its start waits for. */
  readonly onWait: (wait: RoomWait) => void;
}

/** What a supervised run needs to know, put together from its reference and this host's configuration. */
export async function trainingRequest(
  environment: WorkerEnvironment,
  { run, generation, gpuIndex, driver, vramGigabytes, vramSetting, onWait }: SupervisedRun,
  context: Context,
): Promise<TrainingRequest> {
  const { config, paths } = environment;
  const directory = join(paths.runs, run);
  return {
    driver,
    run: {
      id: run,
      directory,
      workflowId: context.info.workflowExecution?.workflowId ?? '',
      workflowRunId: context.info.workflowExecution?.runId ?? '',
      stateDirectory: paths.home,
    },
    generation,
    gpu: { index: gpuIndex, lockPath: await gpuLockPath(config.gpu, { index: gpuIndex, fallback: paths.gpu }) },
    python: config.gpu.python,
    stall: { limitMs: config.train.stallMinutes * minute },
    graceMs: config.gpu.stopGraceSeconds * 1000,
    minFreeBytes: config.train.minimumFreeGigabytes * gigabyte,
    beforeLaunch: ({ signal, log }) => {
      const options = { signal, log, onProgress: (progress: RoomProgress) => onWait(roomWait(progress)) };
      return makeRoomFor(environment, { gpuIndex, bytes: gigabytes(vramGigabytes), setting: vramSetting }, options);
    },
  };
}

/** The driver that the configuration asks for. @throws TowerError `TRAINER_ENVIRONMENT_MISSING` */
export async function trainerDriver(
  { config, paths, log }: Pick<WorkerEnvironment, 'config' | 'paths' | 'log'>,
  run: string,
): Promise<TrainerDriver> {
  const { trainer, device, simulatedSecondsPerStep } = config.train;
  const hyperparameters = { ...config.train.hyperparameters, device };
  const common = { runDirectory: join(paths.runs, run), config: hyperparameters, log };
  if (trainer === 'simulated') {
    return createSimulatedQloraDriver({ ...common, simulation: { secondsPerStep: simulatedSecondsPerStep } });
  }
  return createQloraDriver({ ...common, python: await interpreterOf(config) });
}

/** The evaluator of a planned evaluation: the simulated one exactly for a simulated candidate. */
export async function evaluationDriver(
  { config, paths }: Pick<WorkerEnvironment, 'config' | 'paths'>,
  run: string,
): Promise<TrainerDriver> {
  const directory = join(paths.runs, run);
  const plan = await readEvaluationPlan(directory);
  const { device, simulatedSecondsPerStep } = config.train;
  if (plan.simulated) {
    // A forward pass of one sample is much quicker than a training step.
    return createSimulatedEvaluationDriver({ directory, plan, secondsPerSample: simulatedSecondsPerStep / 10 });
  }
  return createEvaluationDriver({ directory, plan, device, python: await interpreterOf(config) });
}

async function interpreterOf({ train: { python, device } }: Config): Promise<string> {
  return python ?? (await findTrainerPython({ device, cacheDirectory: cacheDirectory(process.env) }));
}
