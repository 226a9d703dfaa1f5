import { basename } from 'node:path';

import { readLaunches } from '../training/launch-record.js';
import { summarizeLaunch, type LaunchSummary } from '../training/launch-summary.js';
import { runDirectory } from '../training/run-directory.js';
import type { Checkpoint, TrainerDriver } from '../training/trainer-driver.js';
import { presentRung, rungOf, type LaunchedOrder } from './order.js';
import { kohyaRunFiles, outputFiles } from './run-files.js';
import { findCompleteStates, type EpochState } from './states.js';

/** Complete states that a launch on this rung can go on from, newest first. None of the last epoch: nothing would be left to do. */
export async function findCheckpoints(
  order: LaunchedOrder,
  driver: Pick<TrainerDriver, 'createParser'>,
  memoryRung: number | undefined,
): Promise<Checkpoint[]> {
  const { run } = order;
  const { output, options } = rungOf(order, memoryRung ?? (await presentRung(order)));
  const brokenFolder = kohyaRunFiles(run.runDirectory).broken;
  const states = await findCompleteStates({ output, outputName: run.outputName, brokenFolder, log: run.log });
  const usable = states.filter(({ epoch }) => epoch < options.max_train_epochs);
  if (usable.length === 0) return [];
  const perEpoch = await stepsPerEpoch(order, driver);
  if (perEpoch === undefined) {
    run.log.warn({ states: usable.length }, 'no launch tells how many steps an epoch has: starting anew');
    return [];
  }
  return usable.map(({ path, epoch }) => ({ path, step: epoch * perEpoch }));
}

/** The epoch in the name of a state that {@link findCheckpoints} found. */
export function stateOf({ run }: LaunchedOrder, { path }: Checkpoint): EpochState {
  const epoch = outputFiles.epochOfState(run.outputName, basename(path));
  if (epoch === undefined) throw new Error(`${path} is no state of ${run.outputName}`);
  return { path, epoch };
}

/** As the newest launch said that got so far; the same on every rung. */
async function stepsPerEpoch(
  { run, rungs }: LaunchedOrder,
  driver: Pick<TrainerDriver, 'createParser'>,
): Promise<number | undefined> {
  const start = await newestStart(run.runDirectory, driver);
  return start === undefined ? undefined : start.totalSteps / rungs[0].options.max_train_epochs;
}

/** What the newest launch said of itself that got so far; `undefined`: no trainer of the run has begun to train. */
export async function newestStart(
  directory: string,
  driver: Pick<TrainerDriver, 'createParser'>,
): Promise<LaunchSummary['start']> {
  for (const { files } of (await readLaunches(runDirectory(directory))).reverse()) {
    const { summary } = await summarizeLaunch(files, driver);
    if (summary.start !== undefined) return summary.start;
  }
  return undefined;
}
