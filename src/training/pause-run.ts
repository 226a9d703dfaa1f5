import { setTimeout as delay } from 'node:timers/promises';

import { TowerError } from '../errors.js';
import { endGroup, sendSignal } from '../gpu/end-group.js';
import { isAlive, livingMembers, trainerIdentity } from '../gpu/process-table.js';
import type { ServiceOptions } from '../service-options.js';
import { LaunchFollower } from './follow.js';
import { pausedResult, type Paused } from './judge-launch.js';
import { livingLaunches, readLaunch, readLaunches, type Launch } from './launch-record.js';
import { LaunchSummary } from './launch-summary.js';
import { runDirectory, type RunDirectory } from './run-directory.js';
import { readSettled } from './settle.js';
import { readStopIntent, withdrawStopIntent, writeStopIntent } from './stop-intent.js';
import type { TrainingRequest } from './training-request.js';

const pollMs = 100;
const defaultLimitMs = 30 * 60_000;
/** A state may be so much later than the pace of the training lets expect. */
const patience = 1.5;

/** `finished`: the trainer was done before it could pause. */
export type PauseResult = Paused | { readonly outcome: 'finished' };

export interface PauseRequest extends Pick<TrainingRequest, 'driver' | 'generation' | 'graceMs' | 'pauseLimitMs'> {
  readonly run: Pick<TrainingRequest['run'], 'id' | 'directory'>;
}

/**
 * Ends a run's trainer after a complete state: by asking it for one, or by waiting for its next regular one.
 *
 * @throws TowerError `PAUSE_TIMED_OUT` when no complete state came within the limit; the run then goes on, unpaused.
 */
export async function pauseRun(request: PauseRequest, { signal, log }: ServiceOptions): Promise<PauseResult> {
  const run = runDirectory(request.run.directory);
  if ((await readSettled(run)) !== undefined) return { outcome: 'finished' };
  await forbidStart(run, request.generation);
  const launch = (await livingLaunches(run)).at(-1);
  if (launch !== undefined) {
    try {
      await (request.driver.pauseBy === 'SIGUSR1' ? askForState : awaitState)(request, launch, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof PauseTimedOut) await withdrawStopIntent(run, request.generation);
      throw error;
    }
    log.info({ run: request.run.id, launch: launch.files.number }, 'trainer paused');
  }
  return (await request.driver.checkArtefact()).valid ? { outcome: 'finished' } : await pausedResult(request);
}

/**
 * Pauses a run of which no trainer was ever started; that needs no driver, which cannot always be made: a GPU may be away.
 *
 * @returns `undefined` when there is a launch, also one that has just begun: {@link pauseRun} it.
 */
export async function pauseUnstarted(
  directory: string,
  { generation }: Pick<PauseRequest, 'generation'>,
): Promise<PauseResult | undefined> {
  const run = runDirectory(directory);
  if ((await readSettled(run)) !== undefined) return { outcome: 'finished' };
  if ((await readLaunches(run)).length > 0) return undefined;
  await forbidStart(run, generation);
  // A launcher records itself before it looks for the intent.
  return (await readLaunches(run)).length > 0 ? undefined : { outcome: 'paused', step: 0, checkpoint: null };
}

async function forbidStart(run: RunDirectory, generation: number): Promise<void> {
  if ((await readStopIntent(run, generation)) === undefined) await writeStopIntent(run, generation, 'pause');
}

async function askForState(request: PauseRequest, launch: Launch, signal: AbortSignal): Promise<void> {
  const { run, pauseLimitMs: limitMs = defaultLimitMs } = request;
  const since = performance.now();
  let asked = false;
  while (livingMembers(launch.process).length > 0) {
    if (performance.now() - since > limitMs) throw new PauseTimedOut(request, limitMs);
    // The record names the trainer only a moment after the launcher.
    const trainer = asked ? undefined : trainerIdentity(await readProcessRecord(runDirectory(run.directory), launch));
    if (trainer !== undefined && isAlive(trainer)) asked = sendSignal(trainer.pid, 'SIGUSR1');
    await delay(pollMs, undefined, { signal });
  }
}

async function readProcessRecord(run: RunDirectory, launch: Launch): Promise<Launch['process']> {
  return ((await readLaunch(run.launch(launch.files.number))) ?? launch).process;
}

async function awaitState(request: PauseRequest, launch: Launch, signal: AbortSignal): Promise<void> {
  const { driver, graceMs } = request;
  const since = performance.now();
  const follower = new LaunchFollower(launch.files, driver);
  const summary = new LaunchSummary();
  try {
    for await (const event of follower.newEvents()) summary.add(event);
    while (livingMembers(launch.process).length > 0) {
      const limitMs = nextStateLimitMs(request, launch, summary);
      if (performance.now() - since > limitMs) throw new PauseTimedOut(request, limitMs);
      for await (const event of follower.newEvents()) {
        summary.add(event);
        if (event.event === 'checkpoint') {
          await endGroup(launch.process, graceMs);
          return;
        }
      }
      await delay(pollMs, undefined, { signal });
    }
  } finally {
    await follower.close();
  }
}

/** From one state to the next at the pace of this launch, what it does beside its steps included. */
function nextStateLimitMs(
  { driver, pauseLimitMs = defaultLimitMs }: PauseRequest,
  { process }: Launch,
  { start, reachedStep }: LaunchSummary,
): number {
  const steps = start === undefined ? 0 : reachedStep - start.resumedFromStep;
  if (driver.stateInterval === undefined || start === undefined || steps === 0) return pauseLimitMs;
  const stepMs = (Date.now() - Date.parse(process.launchedAt)) / steps;
  return Math.max(pauseLimitMs, patience * driver.stateInterval * start.totalSteps * stepMs);
}

class PauseTimedOut extends TowerError {
  constructor({ run }: PauseRequest, limitMs: number) {
    const seconds = Math.round(limitMs / 1000);
    super('PAUSE_TIMED_OUT', `Run ${run.id} saved no complete state within ${seconds} s; it goes on`, {
      next: 'Pause again later, or cancel it: it then resumes from its last complete state.',
      details: { run: run.id, limitMs },
    });
  }
}
