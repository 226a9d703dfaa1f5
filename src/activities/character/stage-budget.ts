import { readStageFaults, recordStageFault, type StageFault } from '../../character/stage-faults.js';
import { TowerError } from '../../errors.js';
import type { Log } from '../../log/logger.js';
import { isUnexpected, unexpectedError } from '../unexpected.js';

/** Waiting for another's turn on the GPU is ordinary, and faults of the trainer have budgets of their own in the run record. */
const unrecorded = new Set([
  'GPU_BUSY',
  'GPU_GIVEN_BACK',
  'GPU_STILL_LOCKED',
  'LOCK_FAILED',
  'TRAINER_KILLED',
  'TRAINER_OUT_OF_MEMORY',
  'TRAINER_DISK_FULL',
]);

/** Waiting for room, or for a driver that is being updated, is no fault of the stage: recorded once, and waited for as long as it takes. */
const waitedFor = new Set([
  'VRAM_NOT_FREED',
  'TENANT_BUSY',
  'TENANT_FAILED',
  'NVIDIA_SMI_FAILED',
  'DISK_FULL',
  'DISK_SPACE_LOW',
]);

/** Until an unexpected error is tried again: a bad moment of the machine should be over. */
const unexpectedPauseMs = 10_000;

export interface StageBudget {
  readonly runDirectory: string;
  readonly stage: StageFault['stage'];
  readonly owner: string;
  /** Further tries after a transient fault. */
  readonly retries: number;
  readonly log: Log;
}

/**
 * Runs a stage's work; a transient fault is thrown on, to be tried again, until the job's retries of this stage are used up.
 * Then it is final. So is an unexpected error, which may be one of the program. Kills and restarts of workers do not count, nor
 * does waiting for room.
 *
 * @throws what `work` throws; a TowerError that was retryable and is no more says so.
 */
export async function withStageBudget<Result>(budget: StageBudget, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    const error = isUnexpected(thrown) ? unexpectedError(thrown, { retryAfterMs: unexpectedPauseMs }) : thrown;
    if (!(error instanceof TowerError) || !error.retryable || unrecorded.has(error.code)) throw error;
    if (waitedFor.has(error.code)) await recordWait(budget, error);
    else throw await countFault(budget, error);
    throw error;
  }
}

async function recordWait({ runDirectory, stage, owner, log }: StageBudget, error: TowerError): Promise<void> {
  const earlier = await readStageFaults(runDirectory);
  const { code } = error;
  if (earlier.some((other) => other.stage === stage && other.owner === owner && other.code === code)) return;
  try {
    await recordStageFault(runDirectory, faultOf({ stage, owner }, error));
  } catch (cause) {
    // A full disk may have no room for this line either; the log has it, and the stage waits all the same.
    log.warn({ stage, code, err: cause }, 'what a stage waits for cannot be recorded');
  }
}

function faultOf({ stage, owner }: Pick<StageBudget, 'stage' | 'owner'>, { code, message }: TowerError): StageFault {
  return { at: new Date().toISOString(), stage, owner, code, message: message.slice(0, 2_000) };
}

async function countFault({ runDirectory, stage, owner, retries, log }: StageBudget, error: TowerError) {
  const earlier = await readStageFaults(runDirectory);
  await recordStageFault(runDirectory, faultOf({ stage, owner }, error));
  const isCounted = (other: StageFault) => other.stage === stage && other.owner === owner && !waitedFor.has(other.code);
  const count = earlier.filter(isCounted).length + 1;
  log.warn({ stage, code: error.code, count, retries }, 'a stage failed for a while');
  if (count <= retries) return error;
  return new TowerError(error.code, `${error.message} (${count} times; limits.${stage}.retries is ${retries})`, {
    ...(error.next !== undefined && { next: error.next }),
    details: error.details,
    cause: error.cause,
  });
}
