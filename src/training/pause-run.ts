import { setTimeout as delay } from 'node:timers/promises';

import { TowerError } from '../errors.js';
import { endGroup, sendSignal } from '../gpu/end-group.js';
import { isAlive, livingMembers, trainerIdentity } from '../gpu/process-table.js';
import type { ServiceOptions } from '../service-options.js';
import { LaunchFollower } from './follow.js';
import { pausedResult, type Paused } from './judge-launch.js';
import { livingLaunches, readLaunch, type Launch } from './launch-record.js';
import { runDirectory, type RunDirectory } from './run-directory.js';
import { readSettled } from './settle.js';
import { readStopIntent, withdrawStopIntent, writeStopIntent } from './stop-intent.js';
import type { TrainingRequest } from './training-request.js';

const pollMs = 100;
const defaultLimitMs = 30 * 60_000;

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
  if ((await readStopIntent(run, request.generation)) === undefined) {
    await writeStopIntent(run, request.generation, 'pause');
  }
  const launch = (await livingLaunches(run)).at(-1);
  if (launch !== undefined) {
    const limitMs = request.pauseLimitMs ?? defaultLimitMs;
    const limit = AbortSignal.any([signal, AbortSignal.timeout(limitMs)]);
    try {
      await (request.driver.pauseBy === 'SIGUSR1' ? askForState : awaitState)(request, launch, limit);
    } catch (error) {
      signal.throwIfAborted();
      if (!limit.aborted) throw error;
      await withdrawStopIntent(run, request.generation);
      throw timedOut(request, limitMs);
    }
    log.info({ run: request.run.id, launch: launch.files.number }, 'trainer paused');
  }
  return (await request.driver.checkArtefact()).valid ? { outcome: 'finished' } : await pausedResult(request);
}

async function askForState({ run }: PauseRequest, launch: Launch, signal: AbortSignal): Promise<void> {
  let asked = false;
  while (livingMembers(launch.process).length > 0) {
    // The record names the trainer only a moment after the launcher.
    const trainer = asked ? undefined : trainerIdentity(await readProcessRecord(runDirectory(run.directory), launch));
    if (trainer !== undefined && isAlive(trainer)) asked = sendSignal(trainer.pid, 'SIGUSR1');
    await delay(pollMs, undefined, { signal });
  }
}

async function readProcessRecord(run: RunDirectory, launch: Launch): Promise<Launch['process']> {
  return ((await readLaunch(run.launch(launch.files.number))) ?? launch).process;
}

async function awaitState({ driver, graceMs }: PauseRequest, launch: Launch, signal: AbortSignal): Promise<void> {
  const follower = new LaunchFollower(launch.files, driver);
  try {
    for await (const event of follower.newEvents()) void event;
    while (livingMembers(launch.process).length > 0) {
      for await (const event of follower.newEvents()) {
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

function timedOut({ run }: PauseRequest, limitMs: number): TowerError {
  return new TowerError(
    'PAUSE_TIMED_OUT',
    `Run ${run.id} saved no complete state within ${limitMs / 1000} s; it goes on`,
    {
      next: 'Pause again later, or cancel it: it then resumes from its last complete state.',
      details: { run: run.id, limitMs },
    },
  );
}
