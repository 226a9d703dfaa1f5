import { mkdir, rm, statfs } from 'node:fs/promises';

import { TowerError } from '../errors.js';
import { GpuBusyError, LaunchFailedError } from '../gpu/launch-errors.js';
import { launchTrainer, type LaunchSpec } from '../gpu/launcher.js';
import { trainerEnvironment } from '../gpu/trainer-environment.js';
import { probeLock } from '../gpu/kernel-lock.js';
import type { Log } from '../log/logger.js';
import type { ServiceOptions } from '../service-options.js';
import { exhaustedClass, memoryRung, TrainerFailedError, type FaultHistory } from './fault-policy.js';
import { launchNumbers, livingLaunches, readLaunch, readLaunches, type Launch } from './launch-record.js';
import { runDirectory, type LaunchDirectory, type RunDirectory } from './run-directory.js';
import type { TrainingRequest } from './training-request.js';

const defaultMinFreeBytes = 1024 ** 3;

export interface StartedLaunch {
  readonly launch: Launch;
  /** Whether its trainer was started by another attempt. */
  readonly adopted: boolean;
}

/** The faults of a run so far, for the budget. */
export async function faultHistory(
  run: RunDirectory,
  { driver, generation }: Pick<TrainingRequest, 'driver' | 'generation'>,
): Promise<FaultHistory> {
  const faults = (await readLaunches(run))
    .filter((launch) => launch.fault !== undefined)
    .map(({ fault, spec }) => ({ class: fault?.class ?? 'internal', generation: spec.generation }));
  return { faults, generation, rungs: driver.memoryLadder.length };
}

/**
 * Starts the trainer from the newest complete state. Nothing of the run may live.
 *
 * @returns the new launch, or the one of another attempt at the same time that was faster.
 * @throws GpuBusyError, RunStoppedError, LaunchFailedError of the launcher, and whatever `beforeLaunch` throws.
 * @throws TrainerFailedError when a fault budget is used up, TowerError `DISK_SPACE_LOW` when the disk is too full.
 */
export async function startLaunch(
  request: TrainingRequest,
  options: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<StartedLaunch> {
  const run = runDirectory(request.run.directory);
  const history = await faultHistory(run, request);
  const exhausted = exhaustedClass(history);
  if (exhausted !== undefined) {
    throw new TrainerFailedError(request.run.id, exhausted, `${exhausted} has used up its budget of starts`, history);
  }
  await assertFreeSpace(request);
  try {
    await makeRoom(request, options);
    // Making room takes time, and looking at states while another attempt's trainer writes one would set it aside.
    const other = (await livingLaunches(run)).at(-1);
    if (other !== undefined) return { launch: other, adopted: true };
    return { launch: await launchFrom(request, memoryRung(history), options.log), adopted: false };
  } catch (error) {
    const faster = error instanceof GpuBusyError ? await launchOfOtherAttempt(request, error) : undefined;
    if (faster === undefined) throw error;
    return { launch: faster, adopted: true };
  }
}

async function launchFrom(request: TrainingRequest, rung: number, log: Log): Promise<Launch> {
  const { driver, gpu, generation } = request;
  const run = runDirectory(request.run.directory);
  await driver.prepare();
  const [resumeFrom] = await driver.completeCheckpoints(rung);
  const command = driver.command({ resumeFrom, memoryRung: rung });
  const files = await makeLaunchDirectory(run);
  const spec: LaunchSpec = {
    version: 1,
    lock: gpu.lockPath,
    run: request.run.id,
    generation,
    memoryRung: rung,
    resume: resumeFrom === undefined ? null : { path: resumeFrom.path, step: resumeFrom.step },
    kind: driver.name,
    workflowId: request.run.workflowId,
    stateDirectory: request.run.stateDirectory,
    launchDirectory: files.directory,
    argv: command.argv,
    workingDirectory: command.workingDirectory,
    stopFile: run.stopFile(generation),
    graceSeconds: request.graceMs / 1000,
  };
  try {
    const environment = trainerEnvironment(process.env, command.environment, gpu.index);
    await launchTrainer(spec, { python: request.python, environment });
  } catch (error) {
    if ((await readLaunch(files)) === undefined) await rm(files.directory, { recursive: true, force: true });
    throw error;
  }
  const launch = await readLaunch(files);
  if (launch === undefined) throw new LaunchFailedError(request.run.id, 'its record has vanished');
  log.info({ launch: files.number, pid: launch.process.trainerPid, resume: spec.resume, rung }, 'trainer started');
  return launch;
}

/** Tenants are not disturbed for a GPU that another run holds. */
async function makeRoom(
  { beforeLaunch, gpu, python }: TrainingRequest,
  options: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<void> {
  if (beforeLaunch === undefined) return;
  const lock = await probeLock(gpu.lockPath, python);
  if (lock.held) throw new GpuBusyError(gpu.lockPath, lock);
  await beforeLaunch(options);
}

/** The launcher records itself before it starts the trainer, so a holder of the same run has a launch to adopt. */
async function launchOfOtherAttempt(request: TrainingRequest, { holder }: GpuBusyError): Promise<Launch | undefined> {
  if (holder?.run !== request.run.id || holder.stateDirectory !== request.run.stateDirectory) return undefined;
  return (await livingLaunches(runDirectory(request.run.directory))).at(-1);
}

async function makeLaunchDirectory(run: RunDirectory): Promise<LaunchDirectory> {
  await mkdir(run.launches, { recursive: true });
  for (let number = ((await launchNumbers(run)).at(-1) ?? 0) + 1; ; number += 1) {
    const files = run.launch(number);
    try {
      await mkdir(files.directory);
      return files;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

async function assertFreeSpace({ run, minFreeBytes = defaultMinFreeBytes }: TrainingRequest): Promise<void> {
  const { bavail, bsize } = await statfs(run.directory);
  const free = bavail * bsize;
  if (free >= minFreeBytes) return;
  const megabytes = (bytes: number): string => `${Math.floor(bytes / 1024 ** 2)} MiB`;
  throw new TowerError(
    'DISK_SPACE_LOW',
    `The disk of ${run.directory} has ${megabytes(free)} free, training needs ${megabytes(minFreeBytes)}`,
    {
      retryable: true,
      retryAfterMs: 60_000,
      next: 'Free space on that disk; Tower goes on by itself.',
      details: { freeBytes: free, neededBytes: minFreeBytes },
    },
  );
}
