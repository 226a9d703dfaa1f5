import { setTimeout as delay } from 'node:timers/promises';

import { TowerError } from '../errors.js';
import { describeHolder, type HolderRecord } from './holder-record.js';
import { livingMembers } from './process-table.js';

const pollMs = 50;
/** How long the launcher may take to write `exit.json` after the last other member has gone. */
const launcherPatienceMs = 2_000;
/** How long a killed process may take to disappear; longer means it is stuck in the kernel. */
const killPatienceMs = 10_000;

/** What ending a group took: how many processes lived, and how many of them needed SIGKILL. */
export interface EndedGroup {
  readonly members: number;
  readonly killed: number;
}

/**
 * Ends every living member of a holder's group: SIGTERM, after `graceMs` SIGKILL to all but the launcher, so that it can
 * still record how the trainer ended, and at last the launcher. Returns when no member is left.
 *
 * @throws TowerError `TRAINER_UNKILLABLE` (retryable) when a member survives SIGKILL.
 */
export async function endGroup(holder: HolderRecord, graceMs: number): Promise<EndedGroup> {
  const started = performance.now();
  const seen = new Set<number>();
  const killed = new Set<number>();
  let launcherAloneSince: number | undefined;
  for (;;) {
    const members = livingMembers(holder);
    if (members.length === 0) return { members: seen.size, killed: killed.size };
    const waited = performance.now() - started;
    const others = members.filter((pid) => pid !== holder.pid);
    if (waited > graceMs + launcherPatienceMs + killPatienceMs) throw unkillable(holder, members);
    for (const pid of members) {
      // A trainer that is started only now, by a launcher that had passed its check, gets its SIGTERM too.
      if (!seen.has(pid)) sendSignal(pid, 'SIGTERM');
      seen.add(pid);
    }
    if (waited >= graceMs) {
      for (const pid of others) {
        sendSignal(pid, 'SIGKILL');
        killed.add(pid);
      }
    }
    launcherAloneSince = others.length === 0 ? (launcherAloneSince ?? waited) : undefined;
    if (launcherAloneSince !== undefined && waited > Math.max(launcherAloneSince, graceMs) + launcherPatienceMs) {
      sendSignal(holder.pid, 'SIGKILL');
      killed.add(holder.pid);
    }
    await delay(pollMs);
  }
}

/** Sends a signal to a process, or to a group when negative. @returns `false` when there is no such process. */
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

function unkillable(holder: HolderRecord, members: readonly number[]): TowerError {
  return new TowerError(
    'TRAINER_UNKILLABLE',
    `Processes ${members.join(', ')} of ${describeHolder(holder)} survive SIGKILL: they are stuck in the kernel`,
    {
      retryable: true,
      retryAfterMs: 60_000,
      next: 'Look at `dmesg` for driver errors; a restart of the machine frees the GPU.',
      details: { run: holder.run, members: [...members] },
    },
  );
}
