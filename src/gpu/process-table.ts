import { readdirSync, readFileSync } from 'node:fs';

import type { HolderRecord } from './holder-record.js';

/** One row of /proc. `startTime` is in clock ticks since boot. */
export interface ProcessRow {
  readonly pid: number;
  readonly alive: boolean;
  readonly parent: number;
  readonly processGroup: number;
  readonly startTime: number;
}

/** A process for good: with boot id and start time a recycled pid is not mistaken for it. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: number;
  readonly bootId: string;
}

/** Identifies this boot of the kernel. */
export function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/**
 * The row of a pid; `undefined` when there is none. A zombie has a row but is not alive, unless other threads of it still
 * run (a dead main thread, or a thread that is stuck in a driver call and keeps the GPU).
 */
export function readProcess(pid: number): ProcessRow | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The command name stands in parentheses and may hold anything, also ")": fields are counted after the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = 'X', threads, startTime, processGroup] = [fields[0], fields[17], fields[19], fields[2]];
  return {
    pid,
    parent: Number(fields[1]),
    alive: !['Z', 'X'].includes(state) || Number(threads) > 1,
    processGroup: Number(processGroup),
    startTime: Number(startTime),
  };
}

/** Whether exactly this process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  const row = readProcess(identity.pid);
  return row?.alive === true && row.startTime === identity.startTime && identity.bootId === readBootId();
}

/** Who is asked when a launch's trainer is to get a signal; `undefined` while none is recorded. */
export function trainerIdentity(holder: HolderRecord): ProcessIdentity | undefined {
  if (holder.trainerPid === null || holder.trainerStartTime === null) return undefined;
  return { pid: holder.trainerPid, startTime: holder.trainerStartTime, bootId: holder.bootId };
}

/**
 * Living processes of a holder: the members of its group, and descendants that left the group but carry the launcher's
 * mark in their environment. Members of a recycled group number are never among them.
 */
export function livingMembers(holder: HolderRecord): number[] {
  if (holder.bootId !== readBootId()) return [];
  const known = provesGroup(holder.pid, holder.startTime) || provesGroup(holder.trainerPid, holder.trainerStartTime);
  const mark = `TOWER_LAUNCH=${holder.bootId}:${holder.pid}:${holder.startTime}`;
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((entry) => readProcess(Number(entry)))
    .filter((row) => row?.alive === true && row.startTime >= holder.startTime)
    .filter((row) => row !== undefined)
    .filter((row) => (known && row.processGroup === holder.processGroup) || carries(row.pid, mark))
    .map((row) => row.pid);
}

/** A group number is not reused while a member lives: a leader or trainer that is still there proves the group. */
function provesGroup(pid: number | null, startTime: number | null): boolean {
  return pid !== null && readProcess(pid)?.startTime === startTime;
}

function carries(pid: number, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(mark);
  } catch {
    return false;
  }
}
