import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { ServiceOptions } from '../service-options.js';
import { readSafetensorsHeader } from '../training/safetensors.js';
import { publishAlias } from './publish-alias.js';
import { placeNextVersion, type VersionedName } from './place-version.js';
import { namingRefusal } from './refused.js';

export interface PublishRequest {
  /** The run's id; a repeated call finds what it had published. */
  readonly run: string;
  /** The chosen LoRA. */
  readonly source: string;
  readonly sha256: string;
  /** ComfyUI's `models/loras`. */
  readonly loras: string;
  readonly output: string;
  readonly alias: boolean;
  readonly simulated: boolean;
  /** Whether LoRAs of the simulated trainer may be published. */
  readonly deliverSimulated: boolean;
  /** `delivery.json` of the run. */
  readonly record: string;
}

const deliverySchema = z.object({
  /** As ComfyUI lists it: `<output>-v<N>.safetensors`. */
  loraName: z.string(),
  path: z.string(),
  version: z.int().min(1),
  sha256: z.string(),
  bytes: z.int(),
  sidecar: z.string(),
  simulated: z.boolean(),
  /** Name of the alias, if one was published. */
  alias: z.string().nullable(),
  /** Why there is no alias, although one was asked for. */
  aliasRefused: z.string().nullable(),
  publishedAt: z.iso.datetime(),
});
/** `delivery.json` of a run. */
export type Delivery = z.output<typeof deliverySchema>;

/** Put by the simulated trainer into the metadata of its LoRAs. */
const simulatedComment = '[simulated]';

/**
 * Puts a LoRA into ComfyUI's folder under the next free version, complete from its first moment, mode 0644. Nothing is ever
 * overwritten, because ComfyUI keeps old weights by name (contract comfyui.md, 7.4). A repeated call, also after a crash at any
 * moment, finds what it had published; one that asks for the alias adds it, also when it was refused before.
 *
 * @throws TowerError `SIMULATED_NOT_DELIVERED`, `LORAS_FOLDER_MISSING`, `LORA_CHANGED` (not the file that was chosen),
 * `NO_PERMISSION`, `DISK_FULL` (retryable).
 */
export async function publishLora(
  request: PublishRequest,
  { signal, onProgress, log }: ServiceOptions<{ readonly bytes: number; readonly total: number }>,
): Promise<Delivery> {
  const { run, loras, simulated, record } = request;
  await refuseSimulated(request);
  await requireFolder(loras);
  // With its hash, because another Tower may deliver a run of the same name into this folder.
  const owner = `${run}-${request.sha256.slice(0, 12)}`;
  const draft = join(loras, `.tower-${owner}.tmp`);
  const earlier = await readDelivery(record);
  // A run that goes on may have chosen another epoch since: that is another LoRA.
  const isSame = earlier?.sha256 === request.sha256;
  if (earlier !== undefined && isSame && (await bytesOf(earlier.path)) === earlier.bytes) {
    await rm(draft, { force: true });
    return request.alias ? withAlias(request, earlier) : earlier;
  }
  return namingRefusal(loras, async () => {
    const base = simulated ? `${request.output}-simulated` : request.output;
    const bytes = await bytesOf(request.source);
    const copy = async () => {
      await copyChecked(request, draft, (done) => {
        signal.throwIfAborted();
        onProgress?.({ bytes: done, total: bytes ?? done });
      });
    };
    const placed = await placeNextVersion({ loras, base, owner, draft }, copy);
    const delivery = await deliveryOf(request, { base, placed });
    await writeJsonDurable(record, delivery);
    await placed.settle();
    log.info({ lora: delivery.loraName, alias: delivery.alias, aliasRefused: delivery.aliasRefused }, 'LoRA published');
    return delivery;
  });
}

/** @returns `undefined` while nothing is published. */
export async function readDelivery(path: string): Promise<Delivery | undefined> {
  return readJsonIfExists(path, deliverySchema);
}

async function refuseSimulated({ source, simulated, deliverSimulated }: PublishRequest): Promise<void> {
  const { metadata } = await readSafetensorsHeader(source);
  const saysSimulated = metadata['ss_training_comment']?.includes(simulatedComment) === true;
  if (saysSimulated && !simulated) {
    throw new TowerError(
      'SIMULATED_NOT_DELIVERED',
      `${source} says that it was simulated, the run says that it was not`,
      {
        next: 'Somebody has replaced the file; train again.',
      },
    );
  }
  if (!simulated || deliverSimulated) return;
  throw new TowerError('SIMULATED_NOT_DELIVERED', 'a simulated LoRA is not published unless the job asks for it', {
    next: 'Set deliver.simulated for a try-out, or install sd-scripts.',
  });
}

/** A folder that is made here because of a misspelt path would be seen by nobody. */
async function requireFolder(loras: string): Promise<void> {
  if ((await stat(loras).catch(undefinedIfAbsent))?.isDirectory() === true) return;
  throw new TowerError('LORAS_FOLDER_MISSING', `${loras} is no folder`, {
    next: "Configure the folder of ComfyUI whose models/loras it lists; Tower doesn't make it.",
  });
}

async function deliveryOf(
  { loras, sha256, alias, simulated, run }: PublishRequest,
  { base, placed }: { readonly base: string; readonly placed: VersionedName },
): Promise<Delivery> {
  const { name, version } = placed;
  const path = join(loras, name);
  const aliasing = alias ? await publishAlias({ loras, base, version, run, source: path, sha256 }) : undefined;
  return {
    loraName: name,
    path,
    version,
    sha256,
    bytes: (await stat(path)).size,
    sidecar: join(loras, name.replace(/\.safetensors$/, '.json')),
    simulated,
    alias: aliasing?.name ?? null,
    aliasRefused: aliasing?.refused ?? null,
    publishedAt: new Date().toISOString(),
  };
}

/** Adds the alias to what was published without one before; one that was refused is asked for again. */
async function withAlias(
  { loras, output, run, simulated, record }: PublishRequest,
  earlier: Delivery,
): Promise<Delivery> {
  if (earlier.alias !== null) return earlier;
  const { path: source, sha256, version } = earlier;
  const base = simulated ? `${output}-simulated` : output;
  const { name, refused } = await namingRefusal(loras, () =>
    publishAlias({ loras, base, version, run, source, sha256 }),
  );
  const delivery: Delivery = { ...earlier, alias: name, aliasRefused: refused };
  await writeJsonDurable(record, delivery);
  return delivery;
}

/** Copies the chosen file to the draft, and proves that it is the chosen one. */
async function copyChecked(
  { source, sha256 }: PublishRequest,
  draft: string,
  onBytes: (done: number) => void,
): Promise<void> {
  const hash = createHash('sha256');
  let done = 0;
  await rm(draft, { force: true });
  const file = await open(draft, 'wx', 0o644);
  try {
    for await (const chunk of createReadStream(source, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
      hash.update(chunk);
      await file.writeFile(chunk);
      done += chunk.length;
      onBytes(done);
    }
    // Whatever the umask says: ComfyUI mostly runs as another user.
    await file.chmod(0o644);
    await file.sync();
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  const found = hash.digest('hex');
  if (found === sha256) return;
  await rm(draft, { force: true });
  throw new TowerError(
    'LORA_CHANGED',
    `${source} is not the file that was chosen: its SHA-256 is ${found}, not ${sha256}`,
    {
      next: 'Somebody has changed the run folder; train again.',
    },
  );
}

async function bytesOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(undefinedIfAbsent))?.size;
}
