import { TowerError } from '../../errors.js';
import { findDevice, gpuLockPath, presentGpus } from '../../gpu/devices.js';
import { describeGpuState, readGpuState, type GpuState } from '../../gpu/gpu-state.js';
import type { CycleRecord } from '../../signz-mind/ledger/cycles.js';
import { Ledger } from '../../signz-mind/ledger/ledger.js';
import { listRuns } from '../../training/list-runs.js';
import type { CommandContext } from '../command-context.js';
import { livingTrainers } from './living-trainers.js';
import { readQueueStatus, type SyntxStatus } from './syntx-status.js';

/** Who has a GPU of this machine. */
interface GpuStatus {
  readonly index: number;
  /** `unknown` when it could not be looked at. */
  readonly state: GpuState['state'] | 'unknown';
  readonly run: string | null;
  readonly workflowId: string | null;
  readonly pid: number | null;
  readonly since: string | null;
  /** The same for people, or why it could not be looked at. */
  readonly text: string;
}

interface UndeliveredAdapter {
  readonly version: string;
  readonly attempts: number;
  /** Why the last attempt failed; `null` before the first. */
  readonly reason: string | null;
}

/** What this machine knows without the server. */
export interface LocalStatus {
  readonly gpus: readonly GpuStatus[];
  readonly runs: { readonly total: number; readonly living: readonly { readonly run: string; readonly pid: number }[] };
  /** The newest cycle; `null` before the first. */
  readonly lastCycle: CycleRecord | null;
  readonly undelivered: readonly UndeliveredAdapter[];
  /** Version in use. */
  readonly champion: string | null;
  /** Why the ledger could not be read, if so. */
  readonly ledgerError: string | null;
  /** The SYNTX queue; `null` when none is configured. */
  readonly syntx: SyntxStatus | null;
}

export async function readLocalStatus(context: CommandContext): Promise<LocalStatus> {
  const runs = await listRuns(context.paths.runs);
  return {
    gpus: await gpuStatuses(context),
    runs: { total: runs.length, living: await livingTrainers(context) },
    ...readLedger(context.paths.ledger),
    syntx: await readQueueStatus(context),
  };
}

async function gpuStatuses(context: CommandContext): Promise<GpuStatus[]> {
  const { indexes } = await presentGpus(context.config.gpu);
  return Promise.all(indexes.map((index) => gpuStatus(index, context)));
}

async function gpuStatus(index: number, { config: { gpu }, paths }: CommandContext): Promise<GpuStatus> {
  const nobody = { index, run: null, workflowId: null, pid: null, since: null };
  try {
    const lockPath = await gpuLockPath(gpu, { index, fallback: paths.gpu });
    const device = await findDevice(index, gpu.nvidiaSmi);
    const state = await readGpuState(device, { lockPath, python: gpu.python, nvidiaSmi: gpu.nvidiaSmi });
    const text = describeGpuState(state);
    if (state.state === 'held-by-unknown')
      return { ...nobody, state: state.state, pid: state.stranger?.pid ?? null, text };
    if (state.state === 'free') return { ...nobody, state: state.state, text };
    const { run, workflowId, trainerPid, pid, launchedAt } = state.holder;
    return { index, state: state.state, run, workflowId, pid: trainerPid ?? pid, since: launchedAt, text };
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    return {
      ...nobody,
      state: 'unknown',
      text: `GPU ${index}: ${error.message} [${error.code}]. ${error.next ?? ''}`.trimEnd(),
    };
  }
}

function readLedger(path: string): Omit<LocalStatus, 'gpus' | 'runs' | 'syntx'> {
  const empty = { lastCycle: null, undelivered: [], champion: null };
  let ledger: Ledger;
  try {
    ledger = Ledger.openReadOnly(path);
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    // Before the first cycle there is none, and that is no fault.
    return { ...empty, ledgerError: error.code === 'LEDGER_MISSING' ? null : error.message };
  }
  try {
    const { cycles, deliveries, runs } = ledger;
    const undelivered = deliveries.undelivered().map((version) => {
      const { attempts = 0, reason = null } = deliveries.get(version) ?? {};
      return { version, attempts, reason };
    });
    const champion = runs.champion()?.version ?? null;
    return { lastCycle: cycles.list(1)[0] ?? null, undelivered, champion, ledgerError: null };
  } finally {
    ledger.close();
  }
}
