import { endGroup, type EndedGroup } from '../gpu/end-group.js';
import { isSameHolder } from '../gpu/holder-record.js';
import { probeLock } from '../gpu/kernel-lock.js';
import { TowerError } from '../errors.js';
import type { Log } from '../log/logger.js';
import { livingLaunches } from './launch-record.js';
import { runDirectory, type RunDirectory } from './run-directory.js';
import { readSettled } from './settle.js';
import { readStopIntent, writeStopIntent, type StopReason } from './stop-intent.js';

export interface StopRequest {
  /** The run folder. */
  readonly directory: string;
  readonly generation: number;
  readonly reason: StopReason;
  readonly graceMs: number;
  readonly python: string;
}

export type StopResult =
  { readonly outcome: 'nothing-running' } | ({ readonly outcome: 'stopped'; readonly launch: number } & EndedGroup);

/**
 * Ends a run's trainer, whoever started it and whether or not its worker lives: forbids every further start in this
 * generation, then ends the whole process group. A no-op when nothing runs.
 *
 * The intent is written before anybody looks for a process, and the launcher records itself before it looks for the
 * intent: whichever comes second sees the other. On a full disk there is no intent, and no start either, which would have to be
 * recorded first.
 *
 * @throws TowerError `TRAINER_UNKILLABLE` or `GPU_STILL_LOCKED` (both retryable).
 */
export async function stopRun(request: StopRequest, { log }: { log: Log }): Promise<StopResult> {
  const run = runDirectory(request.directory);
  const earlier = await readStopIntent(run, request.generation);
  if (earlier === undefined && (await readSettled(run)) === undefined) {
    await writeIntent(run, request, log);
  }
  let result: StopResult = { outcome: 'nothing-running' };
  for (const launch of await livingLaunches(run)) {
    // A pause that turned into a stop is no pause any more.
    if (earlier?.reason === 'pause') await writeIntent(run, request, log);
    const ended = await endGroup(launch.process, request.graceMs);
    const { held, holder } = await probeLock(launch.spec.lock, request.python);
    if (held && isSameHolder(holder, launch.process)) throw stillLocked(launch.spec.lock, launch.spec.run);
    log.info(
      { run: launch.spec.run, launch: launch.files.number, reason: request.reason, ...ended },
      'trainer stopped',
    );
    result = { outcome: 'stopped', launch: launch.files.number, ...ended };
  }
  return result;
}

/** A trainer must end, and its GPU be free, whether or not the disk has room to say so. */
async function writeIntent(run: RunDirectory, { generation, reason }: StopRequest, log: Log): Promise<void> {
  try {
    await writeStopIntent(run, generation, reason);
  } catch (error) {
    if (!(error instanceof TowerError) || error.code !== 'DISK_FULL') throw error;
    log.warn({ run: run.directory, reason, err: error }, 'the stop of a trainer cannot be recorded');
  }
}

function stillLocked(lock: string, run: string): TowerError {
  return new TowerError('GPU_STILL_LOCKED', `Run ${run} was ended, but a process of it still holds ${lock}`, {
    retryable: true,
    retryAfterMs: 5_000,
    next: `Find it with \`fuser ${lock}\`.`,
    details: { lock, run },
  });
}
