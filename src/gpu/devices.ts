import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { execa, ExecaError } from 'execa';

import { TowerError } from '../errors.js';

const mebibyte = 1024 ** 2;
const queryTimeoutMs = 20_000;

/** One GPU, or the one logical device of a machine without: the same rules hold for both. */
export interface GpuDevice {
  readonly index: number;
  readonly kind: 'cuda' | 'cpu';
  readonly uuid: string | undefined;
  readonly name: string;
  /** VRAM in bytes; `undefined` where the driver reports none (unified memory, CPU). */
  readonly totalBytes: number | undefined;
  readonly usedBytes: number | undefined;
}

/** A process that the driver names as a user of VRAM. In a container the pid may be one of the host. */
export interface ComputeApp {
  readonly gpuUuid: string;
  readonly pid: number;
  readonly name: string;
  readonly usedBytes: number | undefined;
}

const cpu: GpuDevice = {
  index: 0,
  kind: 'cpu',
  uuid: undefined,
  name: 'CPU (no GPU found)',
  totalBytes: undefined,
  usedBytes: undefined,
};

/**
 * All GPUs that `nvidia-smi` lists; one logical CPU device when the command does not exist.
 *
 * @throws TowerError `NVIDIA_SMI_FAILED` (retryable) when it fails, also because no driver is loaded: after an update of the kernel
 * that is so for a while, and work that began on a GPU must not go on without.
 */
export async function listDevices(nvidiaSmi: string): Promise<GpuDevice[]> {
  const rows = await query(nvidiaSmi, '--query-gpu=index,uuid,name,memory.total,memory.used', 5);
  if (rows === undefined || rows.length === 0) return [cpu];
  return rows.map(([index, uuid, name, total, used]) => ({
    index: Number(index),
    kind: 'cuda',
    uuid,
    name: name ?? '',
    totalBytes: mebibytes(total),
    usedBytes: mebibytes(used),
  }));
}

/** Who uses VRAM, on all GPUs; empty without GPU. @throws TowerError `NVIDIA_SMI_FAILED` */
export async function listComputeApps(nvidiaSmi: string): Promise<ComputeApp[]> {
  const rows = await query(nvidiaSmi, '--query-compute-apps=gpu_uuid,pid,process_name,used_memory', 4);
  return (rows ?? []).map(([gpuUuid, pid, name, used]) => ({
    gpuUuid: gpuUuid ?? '',
    pid: Number(pid),
    name: name ?? '',
    usedBytes: mebibytes(used),
  }));
}

/** The device with this index. @throws TowerError `UNKNOWN_GPU` when there is none. */
export async function findDevice(index: number, nvidiaSmi: string): Promise<GpuDevice> {
  const devices = await listDevices(nvidiaSmi);
  const device = devices.find((candidate) => candidate.index === index);
  if (device !== undefined) return device;
  const known = devices.map((candidate) => `${candidate.index} (${candidate.name})`).join(', ');
  throw new TowerError('UNKNOWN_GPU', `There is no GPU ${index} here; found: ${known}`, {
    next: 'Correct `gpu.devices` in the configuration.',
    details: { index },
  });
}

/** The GPU indexes that Tower uses on this host: the configured ones, else all there are. */
export async function gpuIndexes(options: {
  readonly devices: 'auto' | readonly number[];
  readonly nvidiaSmi: string;
}): Promise<number[]> {
  if (options.devices !== 'auto') return [...options.devices];
  return (await listDevices(options.nvidiaSmi)).map(({ index }) => index);
}

/** The GPUs of this host, for whoever goes on also where the driver does not answer. */
export interface PresentGpus {
  readonly indexes: readonly number[];
  /** Why the driver, which alone knows them, did not name them: the first one is taken for granted then, and what needs it waits. */
  readonly silence: TowerError | undefined;
}

/** Indexes of the GPUs that the driver names now: none while it is silent, or while `nvidia-smi` itself is being replaced. */
export async function namedGpus({ nvidiaSmi }: { readonly nvidiaSmi: string }): Promise<number[]> {
  try {
    return (await listDevices(nvidiaSmi)).filter(({ kind }) => kind === 'cuda').map(({ index }) => index);
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    return [];
  }
}

/** {@link gpuIndexes}; only work on a GPU needs its driver, so one that does not answer must hold up nothing else. */
export async function presentGpus(gpu: Parameters<typeof gpuIndexes>[0]): Promise<PresentGpus> {
  try {
    return { indexes: await gpuIndexes(gpu), silence: undefined };
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
    return { indexes: [0], silence: error };
  }
}

/**
 * The GPU on which the host's ComfyUI renders, whichever one else is free.
 *
 * @throws TowerError `UNKNOWN_GPU` when Tower does not use it, so that nobody would ever work there.
 */
export async function comfyuiGpu({
  comfyui,
  gpu,
}: {
  readonly comfyui: { readonly gpu?: number | undefined };
  readonly gpu: Parameters<typeof gpuIndexes>[0];
}): Promise<number> {
  const indexes = await gpuIndexes(gpu);
  const wanted = comfyui.gpu ?? indexes[0];
  if (wanted !== undefined && indexes.includes(wanted)) return wanted;
  throw new TowerError('UNKNOWN_GPU', `comfyui.gpu is ${wanted}; Tower uses ${indexes.join(', ')} here`, {
    next: 'Correct `comfyui.gpu`, or add it to `gpu.devices`.',
  });
}

/**
 * The kernel lock of a GPU: `gpu-<index>.lock` in the configured directory that all its users share, else in `fallback`.
 * The directory is made.
 */
export async function gpuLockPath(
  { lockDirectory }: { readonly lockDirectory?: string | undefined },
  { index, fallback }: { readonly index: number; readonly fallback: string },
): Promise<string> {
  // Absolute: whoever reads it from a record may work elsewhere.
  const directory = resolve(lockDirectory ?? fallback);
  await mkdir(directory, { recursive: true });
  return join(directory, `gpu-${index}.lock`);
}

/** Rows of cells; `undefined` without `nvidia-smi`. The first and last cells never hold a comma, the name may. */
async function query(nvidiaSmi: string, what: string, columns: number): Promise<string[][] | undefined> {
  let output: string;
  try {
    ({ stdout: output } = await execa(nvidiaSmi, [what, '--format=csv,noheader,nounits'], {
      timeout: queryTimeoutMs,
      stdin: 'ignore',
    }));
  } catch (error) {
    if (!(error instanceof ExecaError)) throw error;
    if (error.code === 'ENOENT') return undefined;
    throw new TowerError(
      'NVIDIA_SMI_FAILED',
      `${error.shortMessage}: ${String(error.stdout)} ${String(error.stderr)}`,
      {
        retryable: true,
        retryAfterMs: 60_000,
        next:
          `Run \`${nvidiaSmi}\` by hand; a driver that does not answer needs a restart of the machine. ` +
          'Where no GPU is to be used, set `gpu.nvidiaSmi` to `none`.',
        cause: error,
      },
    );
  }
  const nameAt = 2;
  return output
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const cells = line.split(',').map((cell) => cell.trim());
      const surplus = cells.length - columns;
      return [
        ...cells.slice(0, nameAt),
        cells.slice(nameAt, nameAt + surplus + 1).join(', '),
        ...cells.slice(nameAt + surplus + 1),
      ];
    });
}

/** `[N/A]` and `[Not Supported]` are answers too. */
function mebibytes(cell: string | undefined): number | undefined {
  return cell !== undefined && /^\d+$/.test(cell) ? Number(cell) * mebibyte : undefined;
}
