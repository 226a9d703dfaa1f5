import { makeRoom } from '../gpu/make-room.js';
import { commandTenant } from '../gpu/tenants/command.js';
import { comfyuiTenant } from '../gpu/tenants/comfyui.js';
import { ollamaTenant } from '../gpu/tenants/ollama.js';
import type { Tenant } from '../gpu/tenants/tenant.js';
import type { Config } from '../config/schema.js';
import type { ServiceOptions } from '../service-options.js';
import type { WorkerEnvironment } from './worker-environment.js';

const gigabyte = 2 ** 30;
const minute = 60_000;

/** Asks the configured tenants of a GPU to make room for a training, and waits until the VRAM is free. */
export async function makeRoomFor(
  { config }: WorkerEnvironment,
  gpuIndex: number,
  options: ServiceOptions,
): Promise<void> {
  await makeRoom(
    {
      gpuIndex,
      neededBytes: config.gpu.trainVramGigabytes === undefined ? undefined : config.gpu.trainVramGigabytes * gigabyte,
      tenants: tenantsOf(config.gpu.tenants),
      limitMs: config.gpu.makeRoomMinutes * minute,
      nvidiaSmi: config.gpu.nvidiaSmi,
    },
    options,
  );
}

function tenantsOf({ comfyui, ollama, command }: Config['gpu']['tenants']): Tenant[] {
  return [
    ...(comfyui === undefined ? [] : [comfyuiTenant(comfyui)]),
    ...(ollama === undefined ? [] : [ollamaTenant(ollama)]),
    ...(command === undefined ? [] : [commandTenant(command)]),
  ];
}
