import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { TowerError } from '../../errors.js';
import { namingFullDiskOf } from '../../files/disk-full.js';
import { renameDurable } from '../../files/durable-write.js';
import type { NodeOutputs, OutputFile } from '../answers.js';
import type { ComfyuiClient } from '../client.js';
import type { Graph } from '../graph.js';
import { readPng, type PngFacts } from '../png.js';
import type { Patience } from './patience.js';
import { provenanceOf } from './provenance.js';
import type { RecoveryKind, RenderedImage } from './types.js';

export interface DeliveryContext {
  readonly client: ComfyuiClient;
  readonly patience: Patience;
  readonly signal: AbortSignal;
}

export interface Delivery {
  readonly promptId: string;
  readonly graph: Graph;
  readonly target: string;
  readonly file: OutputFile;
  /** ComfyUI has not named the file: nothing is wrong when it is not there. */
  readonly isGuess?: boolean;
  /** Whether ComfyUI's history has this file for this prompt; asked only when the file itself does not tell. */
  readonly confirm: () => Promise<boolean>;
}

export type DeliveredFile = Pick<RenderedImage, 'path' | 'bytes' | 'sha256' | 'size' | 'source'>;

/** Why the file that ComfyUI names is not the image. */
export interface OutputFault {
  readonly fault: Extract<RecoveryKind, 'output-missing' | 'output-damaged' | 'output-foreign'>;
  readonly detail: string;
}

/** A file may still be on its way to a shared disk. */
const secondLookMs = 300;

/**
 * Downloads an output of ComfyUI to its target: complete, undamaged, and this prompt's, or not at all. File names prove
 * nothing: a name is given again after a deletion, and a cached prompt names old files.
 */
export async function deliverOutput(
  delivery: Delivery,
  context: DeliveryContext,
): Promise<DeliveredFile | OutputFault> {
  return namingFullDiskOf(delivery.target, () => takeToTarget(delivery, context));
}

async function takeToTarget(delivery: Delivery, context: DeliveryContext): Promise<DeliveredFile | OutputFault> {
  const { target, file } = delivery;
  await mkdir(dirname(target), { recursive: true });
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString('hex')}.tmp`);
  try {
    let taken = await take(delivery, temporary, context);
    if ('fault' in taken && !delivery.isGuess) {
      await delay(secondLookMs, undefined, { signal: context.signal });
      taken = await take(delivery, temporary, context);
    }
    if ('fault' in taken) return taken;
    await renameDurable(temporary, target);
    const { bytes, sha256, png } = taken;
    return { path: target, bytes, sha256, size: png && { width: png.width, height: png.height }, source: file };
  } finally {
    await rm(temporary, { force: true });
  }
}

/** The output images of a prompt, in the order of its nodes; finished ones before previews. */
export function imagesOf(outputs: NodeOutputs): OutputFile[] {
  const files = Object.values(outputs).flatMap(({ images = [] }) => images);
  return [...files.filter(({ type }) => type === 'output'), ...files.filter(({ type }) => type !== 'output')];
}

interface TakenFile {
  readonly bytes: number;
  readonly sha256: string;
  readonly png: PngFacts | undefined;
}

async function take(
  { promptId, graph, file, confirm }: Delivery,
  temporary: string,
  { client, patience, signal }: DeliveryContext,
): Promise<TakenFile | OutputFault> {
  const name = `${file.type}/${file.subfolder === '' ? '' : `${file.subfolder}/`}${file.filename}`;
  const got = await patience
    .with(() => client.view(file, temporary, { signal }))
    .catch((error: unknown) => {
      if (error instanceof TowerError && error.code === 'COMFYUI_NOT_FOUND') return undefined;
      throw error;
    });
  if (got === undefined) return { fault: 'output-missing', detail: `${name} is not there` };
  if (got.bytes === 0) return { fault: 'output-damaged', detail: `${name} is empty` };
  const png = file.filename.toLowerCase().endsWith('.png') ? await readPng(temporary) : undefined;
  if (typeof png === 'string') return { fault: 'output-damaged', detail: `${name}: ${png}` };
  const provenance = provenanceOf(png, { promptId, graph });
  if (provenance === 'foreign') return { fault: 'output-foreign', detail: `${name} is the image of another prompt` };
  if (provenance === 'unmarked' && !(await confirm())) {
    return { fault: 'output-foreign', detail: `${name} says nothing of its origin, and ComfyUI knows nothing of it` };
  }
  return { ...got, png };
}
