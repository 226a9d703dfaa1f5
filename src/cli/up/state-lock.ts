import { TowerError } from '../../errors.js';
import type { HolderRecord } from '../../gpu/holder-record.js';
import { holdLock, type HeldLock } from '../../gpu/kernel-lock.js';
import { GpuBusyError } from '../../gpu/launch-errors.js';
import { readProcess } from '../../gpu/process-table.js';
import type { CommandContext } from '../command-context.js';

/** What there may be one of on a state directory. */
const roles = {
  'tower-up': {
    lock: 'upLock',
    held: 'is in use by another `tower up`',
    next: 'Stop that one, or give this one its own --home.',
  },
  'control-worker': {
    lock: 'controlLock',
    held: 'is served by another control worker',
    next: 'One control worker writes the ledger. Stop the other, or give this one its own --home.',
  },
} as const;

/**
 * Takes the kernel lock of a role on the state directory; it is free again when this process is gone, however it ends.
 *
 * @throws TowerError `STATE_DIRECTORY_LOCKED` that says which process has it and since when.
 */
export async function lockStateDirectory(
  role: keyof typeof roles,
  { config, paths }: Pick<CommandContext, 'config' | 'paths'>,
): Promise<HeldLock> {
  const { lock, held, next } = roles[role];
  const request = { lock: paths[lock], run: role, kind: role, workflowId: '', stateDirectory: paths.home };
  try {
    return await holdLock(request, { python: config.gpu.python });
  } catch (error) {
    if (!(error instanceof GpuBusyError)) throw error;
    throw new TowerError('STATE_DIRECTORY_LOCKED', `${paths.home} ${held} (${describe(error.holder)})`, { next });
  }
}

/** The lock's holder is a child of the process that a person knows and can stop. */
function describe(holder: HolderRecord | null): string {
  if (holder === null) return 'a process that left no record';
  return `process ${readProcess(holder.pid)?.parent ?? holder.pid}, since ${holder.launchedAt}`;
}
