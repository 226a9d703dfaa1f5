import type { ComfyuiClient } from '../comfyui/client.js';
import { Patience, type Absence } from '../comfyui/render/patience.js';
import type { Config } from '../config/schema.js';
import type { TowerError } from '../errors.js';
import { comfyuiGpu } from '../gpu/devices.js';
import { makeRoom, type RoomProgress } from '../gpu/make-room.js';
import { commandTenant } from '../gpu/tenants/command.js';
import { comfyuiTenant } from '../gpu/tenants/comfyui.js';
import { ollamaTenant } from '../gpu/tenants/ollama.js';
import type { Tenant } from '../gpu/tenants/tenant.js';
import type { ServiceOptions } from '../service-options.js';
import { waitsForOf, type WaitsFor } from '../temporal/waiting-reasons.js';
import type { WorkerEnvironment } from './worker-environment.js';

const gigabyte = 2 ** 30;
const minute = 60_000;

/** What a piece of work needs of a GPU. */
export interface RoomNeed {
  readonly gpuIndex: number;
  /** Free VRAM in bytes; `undefined`: what the tenants free is enough. */
  readonly bytes: number | undefined;
  /** Of what it needs, what its own server holds already. */
  readonly heldBytes?: number;
  /** The setting that says so. */
  readonly setting: VramSetting | undefined;
}

export type VramSetting = 'gpu.trainVramGigabytes' | 'character.trainVramGigabytes' | 'character.imageVramGigabytes';

/** Who renders, and where. */
export interface ImagesPlace {
  readonly client: ComfyuiClient;
  readonly gpuIndex: number;
  /** How long the client's ComfyUI has been waited for before. */
  readonly absence?: Absence | undefined;
}

/** What an activity heartbeats while the GPU has no room for its work. */
export interface RoomWait {
  readonly stage: 'making room';
  readonly waitsFor: WaitsFor;
}

export function roomWait({ waitsFor }: RoomProgress): RoomWait {
  return { stage: 'making room', waitsFor: waitsForOf(waitsFor) };
}

export function gigabytes(amount: number | undefined): number | undefined {
  return amount === undefined || amount === 0 ? undefined : amount * gigabyte;
}

/** Asks the tenants of a GPU to make room for a training, and waits until the VRAM is free. */
export async function makeRoomFor(
  environment: Pick<WorkerEnvironment, 'config'>,
  need: RoomNeed,
  options: ServiceOptions<RoomProgress>,
): Promise<void> {
  const { config } = environment;
  const tenants = [...(await comfyuiTenants(config, need.gpuIndex)), ...otherTenants(config)];
  await roomFrom(tenants, { environment, need, options });
}

/**
 * The same for rendering: ComfyUI itself is not asked, because it would only load its models again, and what it holds already
 * counts as free.
 */
export async function makeRoomForImages(
  environment: Pick<WorkerEnvironment, 'config'>,
  { client, gpuIndex, absence }: ImagesPlace,
  options: ServiceOptions<RoomProgress>,
): Promise<void> {
  const { imageVramGigabytes } = environment.config.character;
  const wanted = gigabytes(imageVramGigabytes);
  const held = wanted === undefined ? 0 : await heldByComfyui(environment.config, { client, absence }, options);
  const heldBytes = Math.min(wanted ?? 0, held);
  const bytes = wanted === undefined ? undefined : wanted - heldBytes;
  const need: RoomNeed = { gpuIndex, bytes, heldBytes, setting: 'character.imageVramGigabytes' };
  await roomFrom(otherTenants(environment.config), { environment, need, options });
}

/** For the model behind the wrapper service: ComfyUI is asked; the model's own server keeps what it has loaded. */
export async function makeRoomForPrompts(
  environment: Pick<WorkerEnvironment, 'config'>,
  gpuIndex: number,
  options: ServiceOptions<RoomProgress>,
): Promise<void> {
  const need = { gpuIndex, bytes: undefined, setting: undefined };
  await roomFrom(await comfyuiTenants(environment.config, gpuIndex), { environment, need, options });
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
    readonly options: ServiceOptions<RoomProgress>;
  },
): Promise<void> {
  await makeRoom(
    {
      gpuIndex: need.gpuIndex,
      neededBytes: need.bytes,
      ...(need.heldBytes !== undefined && { heldBytes: need.heldBytes }),
      setting: need.setting,
      tenants,
      limitMs: config.gpu.makeRoomMinutes * minute,
      nvidiaSmi: config.gpu.nvidiaSmi,
    },
    options,
  );
}

/** What torch keeps for ComfyUI on the first device of its list, in bytes; 0 where it does not render on a GPU. */
async function heldByComfyui(
  { comfyui }: Config,
  { client, absence }: Pick<ImagesPlace, 'client' | 'absence'>,
  { signal, log, onProgress }: ServiceOptions<RoomProgress>,
): Promise<number> {
  const awayMs = comfyui.awayMinutes * minute;
  const onRecovery = (recovery: string, detail: string) => log.info({ recovery, detail }, 'ComfyUI answers');
  const onAway = (waitsFor: TowerError) => onProgress?.({ waitsFor });
  const patience = new Patience({ awayMs, signal, log, onRecovery, onAway, ...(absence !== undefined && { absence }) });
  const { devices } = await patience.with(() => client.systemStats({ signal }));
  const [device] = devices;
  const held = device?.['torch_vram_total'];
  return device?.type === 'cuda' && typeof held === 'number' ? held : 0;
}

/** The ComfyUI that renders is a tenant of its GPU too, whether or not it is named as one; of the others it holds nothing. */
async function comfyuiTenants({ gpu, comfyui }: Config, gpuIndex: number): Promise<Tenant[]> {
  const url = gpu.tenants.comfyui ?? comfyui.url;
  if (url !== undefined && url === comfyui.url && gpuIndex !== (await comfyuiGpu({ comfyui, gpu }))) return [];
  return url === undefined ? [] : [comfyuiTenant(url)];
}

function otherTenants({ gpu: { tenants } }: Config): Tenant[] {
  const { ollama, command } = tenants;
  return [
    ...(ollama === undefined ? [] : [ollamaTenant(ollama)]),
    ...(command === undefined ? [] : [commandTenant(command)]),
  ];
}
