import { z } from 'zod';

import type { LockOwner } from './lock-owner.js';

/**
 * Who holds a kernel lock: what `trainers/launcher.py` writes as a launch's `process.json` and as `<lock>.holder.json`.
 *
 * `startTime` and `trainerStartTime` are clock ticks since boot (`/proc/<pid>/stat`); with `bootId` they tell a recycled
 * pid apart. `trainerPid` is null before the trainer is started and for holders that start none.
 */
export const holderRecordSchema = z.object({
  version: z.literal(1),
  run: z.string(),
  kind: z.string(),
  workflowId: z.string(),
  stateDirectory: z.string(),
  pid: z.int().positive(),
  processGroup: z.int().positive(),
  startTime: z.int().nonnegative(),
  bootId: z.string(),
  trainerPid: z.int().positive().nullable(),
  trainerStartTime: z.int().nonnegative().nullable(),
  commandSha256: z.string().nullable(),
  launchedAt: z.iso.datetime(),
});

export type HolderRecord = z.output<typeof holderRecordSchema>;

/** The holder in words, for messages: run, kind, pid and since when; of a program that is not Tower's, what the kernel knows. */
export function describeHolder(holder: HolderRecord | null, stranger?: LockOwner): string {
  if (holder === null) {
    return stranger === undefined
      ? 'a process that left no record'
      : `${stranger.name} (pid ${stranger.pid}), which is not Tower's`;
  }
  return `run ${holder.run} (${holder.kind}, pid ${holder.trainerPid ?? holder.pid}, since ${holder.launchedAt})`;
}

/** Whether two records are of the same launcher process. */
export function isSameHolder(one: HolderRecord | null | undefined, other: HolderRecord): boolean {
  return one?.pid === other.pid && one.startTime === other.startTime && one.bootId === other.bootId;
}
