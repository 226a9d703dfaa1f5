import { RunStoppedError } from '../gpu/launch-errors.js';
import { livingMembers } from '../gpu/process-table.js';
import type { Log } from '../log/logger.js';
import type { ServiceOptions } from '../service-options.js';
import { followLaunch } from './follow-launch.js';
import { judgeLaunch, pausedResult, type TrainingResult } from './judge-launch.js';
import { readLaunch, readLaunches, type Launch } from './launch-record.js';
import { pauseRun } from './pause-run.js';
import { runDirectory, type RunDirectory } from './run-directory.js';
import { writeRunOwner } from './run-owner.js';
import { readSettled } from './settle.js';
import { startLaunch, type StartedLaunch } from './start-launch.js';
import { mayGoOn, readStopIntent } from './stop-intent.js';
import { stopRun } from './stop-run.js';
import type { TrainingProgress, TrainingRequest } from './training-request.js';

export interface TrainingOptions extends ServiceOptions<TrainingProgress> {
  /**
   * What an abort of the signal means, asked once it has aborted: `stop` ends the trainer, `pause` ends it after a
   * complete state, `detach` leaves it running for the next attempt to adopt.
   */
  readonly cancelKind: () => 'stop' | 'pause' | 'detach';
}

/**
 * Trains, or goes on with what an earlier attempt has begun: returns a settled result, adopts a living trainer, judges one
 * that ended unwatched, or starts one from the newest complete state. Two attempts at once follow the same trainer.
 *
 * @throws TrainerFailedError once per failed launch; when it is retryable, the next call starts again.
 * @throws GpuBusyError, RunStoppedError, LaunchFailedError, TowerError `DISK_SPACE_LOW`, `STEP_LEDGER_BROKEN`.
 * @throws the signal's reason after an abort of kind `stop` or `detach`.
 */
export async function runTraining(request: TrainingRequest, options: TrainingOptions): Promise<TrainingResult> {
  const { signal, log } = options;
  signal.throwIfAborted();
  const run = runDirectory(request.run.directory);
  const settled = await readSettled(run);
  if (settled !== undefined) return settled;
  await writeRunOwner(run, request.run);

  const launches = await readLaunches(run);
  const living = launches.findLast((launch) => livingMembers(launch.process).length > 0);
  if (living !== undefined) {
    await refuseStopped(request, run);
    log.info({ launch: living.files.number, pid: living.process.trainerPid }, 'adopting the running trainer');
    return await watch(request, { launch: living, adopted: true }, options);
  }
  const last = launches.at(-1);
  const judged = last === undefined ? undefined : await judgeEnded(request, last, { log });
  if (judged !== undefined) return judged;

  if (await hasPaused(request, run)) return await pausedResult(request);
  await refuseStopped(request, run);
  let started: StartedLaunch;
  try {
    started = await startLaunch(request, { signal, log });
  } catch (error) {
    // The pause came while the launcher was starting; it has started no trainer.
    if (error instanceof RunStoppedError && (await hasPaused(request, run))) return await pausedResult(request);
    throw error;
  }
  return await watch(request, started, options);
}

async function hasPaused({ generation }: TrainingRequest, run: RunDirectory): Promise<boolean> {
  const intent = await readStopIntent(run, generation);
  return intent !== undefined && mayGoOn(intent);
}

/** A trainer that is being stopped is not adopted; one that is pausing is, until it has saved. */
async function refuseStopped({ run: { id }, generation }: TrainingRequest, run: RunDirectory): Promise<void> {
  const intent = await readStopIntent(run, generation);
  if (intent !== undefined && !mayGoOn(intent)) throw new RunStoppedError(id, generation, intent.reason);
}

async function watch(
  request: TrainingRequest,
  started: StartedLaunch,
  options: TrainingOptions,
): Promise<TrainingResult> {
  const { signal, log } = options;
  let stalled = false;
  try {
    ({ stalled } = await followLaunch(request, started, options));
  } catch (error) {
    if (!signal.aborted) throw error;
    await obeyCancel(request, options);
  }
  const result = await judgeEnded(request, started.launch, { log, stalled });
  // Another attempt has judged it already; only one of them counts, and it starts the next launch.
  return result ?? (await runTraining(request, options));
}

/** Judges exactly this launch, as its folder tells it now: the record in hand is older than its end. */
async function judgeEnded(
  request: TrainingRequest,
  launch: Launch,
  options: { log: Log; stalled?: boolean },
): Promise<TrainingResult | undefined> {
  return await judgeLaunch(request, (await readLaunch(launch.files)) ?? launch, options);
}

/** Returns after a pause; otherwise throws the reason of the abort. */
async function obeyCancel(request: TrainingRequest, { signal, cancelKind, log }: TrainingOptions): Promise<void> {
  switch (cancelKind()) {
    case 'detach':
      log.info('leaving the trainer running');
      throw signal.reason;
    case 'stop': {
      const { run, generation, graceMs, python } = request;
      await stopRun({ directory: run.directory, generation, reason: 'cancel', graceMs, python }, { log });
      throw signal.reason;
    }
    case 'pause':
      await pauseRun(request, { signal: new AbortController().signal, log });
  }
}
