import { setTimeout as delay } from 'node:timers/promises';

import { TowerError } from '../errors.js';
import type { ServiceOptions } from '../service-options.js';
import { findDevice, listComputeApps, type ComputeApp, type GpuDevice } from './devices.js';
import type { Tenant } from './tenants/tenant.js';

export interface RoomRequest {
  /** The GPU as `nvidia-smi` counts. */
  readonly gpuIndex: number;
  /** VRAM that must be free; `undefined`: the tenants are asked, and what they free is enough. */
  readonly neededBytes: number | undefined;
  /** What the work's own server holds already of what the work needs; default 0. */
  readonly heldBytes?: number;
  /** The setting that says how much is needed, for messages. */
  readonly setting?: string | undefined;
  readonly tenants: readonly Tenant[];
  /** For asking and waiting together. */
  readonly limitMs: number;
  readonly nvidiaSmi: string;
  readonly pollMs?: number;
}

/** What the work waits for; the error is the one that it would end with if time were over. */
export interface RoomProgress {
  readonly waitsFor: TowerError;
}

/** What was asked of whom, and what is free now (`undefined` where the driver reports no VRAM). */
export interface Room {
  readonly asked: readonly string[];
  readonly away: readonly string[];
  readonly freeBytes: number | undefined;
}

/** Others still hold the VRAM; retryable, because they may be done later. */
class VramNotFreedError extends TowerError {
  constructor(device: GpuDevice, neededBytes: number, apps: readonly ComputeApp[]) {
    const holders = apps.length === 0 ? 'a process that the driver does not name' : apps.map(describeApp).join(', ');
    super(
      'VRAM_NOT_FREED',
      `GPU ${device.index} (${device.name}) has ${megabytes(freeBytes(device) ?? 0)} free, ` +
        `${megabytes(neededBytes)} are needed; held by ${holders}`,
      {
        retryable: true,
        retryAfterMs: 60_000,
        next: 'End the program that holds the memory, or name it as a tenant in `gpu.tenants`.',
        details: {
          gpu: device.index,
          neededBytes,
          holders: apps.map(({ pid, name, usedBytes }) => ({ pid, name, usedBytes })),
        },
      },
    );
  }
}

/** Waiting would never end: all of the GPU's memory is less than the work needs. */
function gpuTooSmall(device: GpuDevice, wholeBytes: number, needed: number, setting: string | undefined): TowerError {
  const where = setting === undefined ? '' : ` (${setting})`;
  return new TowerError(
    'GPU_TOO_SMALL',
    `GPU ${device.index} (${device.name}) has ${megabytes(wholeBytes)} in all, ${megabytes(needed)} are needed${where}`,
    {
      next: `Run on a larger GPU (--host, gpu.devices), or lower ${setting ?? 'the need'} if the work gets by with less.`,
      details: { gpu: device.index, totalBytes: wholeBytes, neededBytes: needed },
    },
  );
}

/**
 * Asks the tenants of a GPU to give its memory back, then waits until the driver reports enough of it free.
 *
 * @throws TowerError `GPU_TOO_SMALL` at once, before anybody is asked, when the GPU could not hold it even empty.
 * @throws TowerError `VRAM_NOT_FREED` (retryable) when the limit passes first, naming who holds it.
 * @throws TowerError `TENANT_FAILED`, `TENANT_BUSY` (both retryable), `UNKNOWN_GPU`.
 */
export async function makeRoom(request: RoomRequest, options: ServiceOptions<RoomProgress>): Promise<Room> {
  const { signal, log, onProgress } = options;
  const deadline = performance.now() + request.limitMs;
  const asked: string[] = [];
  const away: string[] = [];
  if (request.neededBytes !== undefined) {
    const device = await findDevice(request.gpuIndex, request.nvidiaSmi);
    const whole = request.neededBytes + (request.heldBytes ?? 0);
    if (device.totalBytes !== undefined && device.totalBytes < whole) {
      throw gpuTooSmall(device, device.totalBytes, whole, request.setting);
    }
  }
  for (const tenant of request.tenants) {
    onProgress?.({ waitsFor: tenantBusy(tenant, 'is asked for its GPU memory') });
    const answer = await askWithin(deadline - performance.now(), tenant, options);
    log.info({ tenant: tenant.name, answer }, answer === 'away' ? 'tenant is not running' : 'tenant made room');
    (answer === 'away' ? away : asked).push(tenant.name);
  }
  for (;;) {
    const device = await findDevice(request.gpuIndex, request.nvidiaSmi);
    const free = freeBytes(device);
    if (free === undefined || request.neededBytes === undefined || free >= request.neededBytes) {
      return { asked, away, freeBytes: free };
    }
    const apps = (await listComputeApps(request.nvidiaSmi)).filter((app) => app.gpuUuid === device.uuid);
    const notFreed = new VramNotFreedError(device, request.neededBytes, apps);
    if (performance.now() > deadline) throw notFreed;
    onProgress?.({ waitsFor: notFreed });
    await delay(request.pollMs ?? 1_000, undefined, { signal });
  }
}

async function askWithin(limitMs: number, tenant: Tenant, { signal, log }: ServiceOptions<RoomProgress>) {
  const limit = AbortSignal.timeout(Math.max(1, Math.ceil(limitMs)));
  try {
    return await tenant.makeRoom({ signal: AbortSignal.any([signal, limit]), log });
  } catch (error) {
    signal.throwIfAborted();
    if (!limit.aborted) throw error;
    throw tenantBusy(tenant, 'was still busy after the time allowed for making room', error);
  }
}

function tenantBusy({ name }: Tenant, state: string, cause?: unknown): TowerError {
  return new TowerError('TENANT_BUSY', `${name} ${state}`, {
    retryable: true,
    retryAfterMs: 60_000,
    next: `Wait for its work to end, or raise \`gpu.makeRoomMinutes\`.`,
    details: { tenant: name },
    ...(cause !== undefined && { cause }),
  });
}

function freeBytes({ totalBytes, usedBytes }: GpuDevice): number | undefined {
  return totalBytes === undefined || usedBytes === undefined ? undefined : totalBytes - usedBytes;
}

function describeApp({ name, pid, usedBytes }: ComputeApp): string {
  return `${name} (pid ${pid}, ${usedBytes === undefined ? 'size unknown' : megabytes(usedBytes)})`;
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MB`;
}
