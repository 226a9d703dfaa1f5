import { join } from 'node:path';

import { z } from 'zod';

import { TowerError } from '../../errors.js';
import { writeJsonDurable } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import type { Log } from '../../log/logger.js';

/** A transient fault of a stage that was tried again; the run's report shows them. */
const stageFaultsSchema = z.array(
  z.object({
    at: z.iso.datetime(),
    stage: z.enum(['generate', 'tag', 'train', 'deliver']),
    /** The workflow execution whose budget it counts for; a later one that goes on with the run has one of its own. */
    owner: z.string(),
    code: z.string(),
    message: z.string(),
  }),
);
export type StageFault = z.output<typeof stageFaultsSchema>[number];

/** Waiting for room or for the GPU is no fault, and these have budgets of their own in the run record. */
const uncounted = new Set([
  'GPU_BUSY',
  'GPU_STILL_LOCKED',
  'LOCK_FAILED',
  'VRAM_NOT_FREED',
  'TENANT_BUSY',
  'TENANT_FAILED',
  'DISK_FULL',
  'DISK_SPACE_LOW',
  'TRAINER_KILLED',
  'TRAINER_OUT_OF_MEMORY',
  'TRAINER_DISK_FULL',
]);

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
 * Then it is final. Kills and restarts of workers do not count.
 *
 * @throws what `work` throws; a TowerError that was retryable and is no more says so.
 */
export async function withStageBudget<Result>(budget: StageBudget, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TowerError) || !error.retryable || uncounted.has(error.code)) throw error;
    throw await countFault(budget, error);
  }
}

export async function readStageFaults(runDirectory: string): Promise<readonly StageFault[]> {
  return (await readJsonIfExists(faultsFile(runDirectory), stageFaultsSchema)) ?? [];
}

async function countFault({ runDirectory, stage, owner, retries, log }: StageBudget, error: TowerError) {
  const earlier = await readStageFaults(runDirectory);
  const fault: StageFault = {
    ...{ at: new Date().toISOString(), stage, owner, code: error.code },
    message: error.message.slice(0, 2_000),
  };
  await writeJsonDurable(faultsFile(runDirectory), [...earlier, fault]);
  const count = earlier.filter((other) => other.stage === stage && other.owner === owner).length + 1;
  log.warn({ stage, code: error.code, count, retries }, 'a stage failed for a while');
  if (count <= retries) return error;
  return new TowerError(error.code, `${error.message} (${count} times; limits.${stage}.retries is ${retries})`, {
    ...(error.next !== undefined && { next: error.next }),
    details: error.details,
    cause: error.cause,
  });
}

function faultsFile(runDirectory: string): string {
  return join(runDirectory, 'stage-faults.json');
}
