import { readJsonIfExists } from '../files/read-json.js';
import { listComputeApps, type ComputeApp, type GpuDevice } from './devices.js';
import { describeHolder, holderRecordSchema, type HolderRecord } from './holder-record.js';
import { probeLock } from './kernel-lock.js';
import type { LockOwner } from './lock-owner.js';
import { isAlive, livingMembers } from './process-table.js';

/** Who has a GPU right now. `others` are programs on it that are none of the holder's. */
export type GpuState = { readonly device: GpuDevice; readonly others: readonly ComputeApp[] } & (
  | { readonly state: 'free' }
  | { readonly state: 'held'; readonly holder: HolderRecord; readonly launcherAlive: boolean }
  /** Locked by a process that left no record: not by Tower's launcher. */
  | { readonly state: 'held-by-unknown'; readonly stranger: LockOwner | undefined }
  /** The lock is free, yet processes of the last holder live: the next holder ends them. */
  | { readonly state: 'left-over'; readonly holder: HolderRecord; readonly pids: readonly number[] }
);

/** @throws TowerError `LOCK_FAILED`, `NVIDIA_SMI_FAILED` (both retryable) */
export async function readGpuState(
  device: GpuDevice,
  { lockPath, python, nvidiaSmi }: { lockPath: string; python: string; nvidiaSmi: string },
): Promise<GpuState> {
  const { held, holder, stranger } = await probeLock(lockPath, python);
  const last = holder ?? (await readJsonIfExists(`${lockPath}.holder.json`, holderRecordSchema));
  const pids = last === undefined ? [] : livingMembers(last);
  const apps = device.kind === 'cpu' ? [] : await listComputeApps(nvidiaSmi);
  const others = apps.filter((app) => app.gpuUuid === device.uuid && !pids.includes(app.pid));
  const common = { device, others };
  if (held && holder === null) return { ...common, state: 'held-by-unknown', stranger };
  if (held && holder !== null) return { ...common, state: 'held', holder, launcherAlive: isAlive(holder) };
  if (last !== undefined && pids.length > 0) return { ...common, state: 'left-over', holder: last, pids };
  return { ...common, state: 'free' };
}

/** One line for people. */
export function describeGpuState(state: GpuState): string {
  const label = state.device.kind === 'cpu' ? 'CPU' : `GPU ${state.device.index} (${state.device.name})`;
  const others = state.others.map(({ name, pid }) => `${name} (pid ${pid})`).join(', ');
  const beside = others === '' ? '' : `; also used by ${others}`;
  return `${label}: ${describeHolding(state)}${beside}`;
}

function describeHolding(state: GpuState): string {
  switch (state.state) {
    case 'free':
      return 'free';
    case 'held':
      return `held by ${describeHolder(state.holder)}${state.launcherAlive ? '' : ', whose launcher died'}`;
    case 'held-by-unknown':
      return `locked by ${describeHolder(null, state.stranger)}`;
    case 'left-over':
      return `not locked, but processes ${state.pids.join(', ')} of ${describeHolder(state.holder)} still live`;
  }
}
