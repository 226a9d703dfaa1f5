import type { ComfyuiClient } from '../comfyui/client.js';
import type { Config } from '../config/schema.js';
import { makeRoom } from '../gpu/make-room.js';
import { commandTenant } from '../gpu/tenants/command.js';
import { comfyuiTenant } from '../gpu/tenants/comfyui.js';
import { ollamaTenant } from '../gpu/tenants/ollama.js';
import type { Tenant } from '../gpu/tenants/tenant.js';
import type { ServiceOptions } from '../service-options.js';
import type { WorkerEnvironment } from './worker-environment.js';

const gigabyte = 2 ** 30;
const minute = 60_000;

/** What a piece of work needs of a GPU. */
export interface RoomNeed {
  readonly gpuIndex: number;
  /** Free VRAM in bytes; `undefined`: what the tenants free is enough. */
  readonly bytes: number | undefined;
}

export function gigabytes(amount: number | undefined): number | undefined {
  return amount === undefined || amount === 0 ? undefined : amount * gigabyte;
}

/** Asks the tenants of a GPU to make room for a training, and waits until the VRAM is free. */
export async function makeRoomFor(
  environment: Pick<WorkerEnvironment, 'config'>,
  need: RoomNeed,
  options: ServiceOptions,
): Promise<void> {
  await roomFrom([...comfyuiTenants(environment.config), ...otherTenants(environment.config)], {
    ...{ environment, need, options },
  });
}

/**
 * The same for rendering: ComfyUI itself is not asked, because it would only load its models again, and what it holds already
 * counts as free.
 */
export async function makeRoomForImages(
  environment: Pick<WorkerEnvironment, 'config'>,
  { client, gpuIndex }: { readonly client: ComfyuiClient; readonly gpuIndex: number },
  options: ServiceOptions,
): Promise<void> {
  const { imageVramGigabytes } = environment.config.character;
  const wanted = gigabytes(imageVramGigabytes);
  const bytes = wanted === undefined ? undefined : Math.max(0, wanted - (await heldByComfyui(client, options)));
  await roomFrom(otherTenants(environment.config), { environment, need: { gpuIndex, bytes }, options });
}

/** For the model behind the wrapper service: ComfyUI is asked; the model's own server keeps what it has loaded. */
export async function makeRoomForPrompts(
  environment: Pick<WorkerEnvironment, 'config'>,
  gpuIndex: number,
  options: ServiceOptions,
): Promise<void> {
  const need = { gpuIndex, bytes: undefined };
  await roomFrom(comfyuiTenants(environment.config), { environment, need, options });
}

async function roomFrom(
  tenants: readonly Tenant[],
  {
    environment: { config },
    need,
    options,
  }: {
    readonly environment: Pick<WorkerEnvironment, 'config'>;
    readonly need: RoomNeed;
    readonly options: ServiceOptions;
  },
): Promise<void> {
  await makeRoom(
    {
      gpuIndex: need.gpuIndex,
      neededBytes: need.bytes,
      tenants,
      limitMs: config.gpu.makeRoomMinutes * minute,
      nvidiaSmi: config.gpu.nvidiaSmi,
    },
    options,
  );
}

/** What torch keeps for ComfyUI on the first device of its list, in bytes; 0 where it does not render on a GPU. */
async function heldByComfyui(client: ComfyuiClient, { signal }: ServiceOptions): Promise<number> {
  const { devices } = await client.systemStats({ signal });
  const [device] = devices;
  const held = device?.['torch_vram_total'];
  return device?.type === 'cuda' && typeof held === 'number' ? held : 0;
}

/** The ComfyUI that renders is a tenant too, whether or not it is named as one. */
function comfyuiTenants({ gpu, comfyui }: Config): Tenant[] {
  const url = gpu.tenants.comfyui ?? comfyui.url;
  return url === undefined ? [] : [comfyuiTenant(url)];
}

function otherTenants({ gpu: { tenants } }: Config): Tenant[] {
  const { ollama, command } = tenants;
  return [
    ...(ollama === undefined ? [] : [ollamaTenant(ollama)]),
    ...(command === undefined ? [] : [commandTenant(command)]),
  ];
}
