import { stat } from 'node:fs/promises';
import { extname } from 'node:path';

import { TowerError } from '../errors.js';
import { readSafetensorsHeader, type SafetensorsHeader } from '../training/safetensors.js';
import type { BaseModelKind } from './base-model.js';

/** What the names of tensors begin with, in checkpoints and in LoRAs (contract kohya.md, section 7); the first that fits counts. */
const beginnings: readonly (readonly [string, BaseModelKind])[] = [
  ['double_blocks.', 'flux'],
  ['model.diffusion_model.double_blocks.', 'flux'],
  ['conditioner.embedders.', 'sdxl'],
  ['cond_stage_model.', 'sd'],
  ['lora_unet_double_blocks_', 'flux'],
  ['lora_unet_single_blocks_', 'flux'],
  ['lora_unet_input_blocks_', 'sdxl'],
  ['lora_te1_', 'sdxl'],
  ['lora_te2_', 'sdxl'],
  ['lora_te_', 'sd'],
];

const kindOfVersion = [
  [/^sd_v[12]/, 'sd'],
  [/^sdxl_/, 'sdxl'],
  [/^flux1/, 'flux'],
] as const;

/** The kind of a checkpoint, or the kind that a LoRA is for; `undefined` when its header does not tell. */
export function kindOfHeader({
  metadata,
  names,
}: {
  readonly metadata: Readonly<Record<string, string>>;
  readonly names: readonly string[];
}): BaseModelKind | undefined {
  const version = metadata['ss_base_model_version'] ?? '';
  const named = kindOfVersion.find(([pattern]) => pattern.test(version))?.[1];
  if (named !== undefined) return named;
  return beginnings.find(([beginning]) => names.some((name) => name.startsWith(beginning)))?.[1];
}

/** {@link kindOfHeader} of a file; `undefined` also for one that cannot be read, is damaged, or is no safetensors file. */
export async function kindOfFile(path: string): Promise<BaseModelKind | undefined> {
  if (!['.safetensors', '.sft'].includes(extname(path).toLowerCase())) return undefined;
  const header = await headerOf(path).catch(undefinedIfUnreadable);
  if (header === undefined) return undefined;
  return kindOfHeader({ metadata: header.metadata, names: header.tensors.map(({ name }) => name) });
}

async function headerOf(path: string): Promise<SafetensorsHeader | undefined> {
  // Opening a pipe waits for a writer.
  return (await stat(path)).isFile() ? readSafetensorsHeader(path) : undefined;
}

/** Whoever loads the model will say what is wrong with it. */
function undefinedIfUnreadable(error: unknown): undefined {
  if (error instanceof TowerError && error.code === 'SAFETENSORS_INVALID') return;
  // Of the file system: gone, refused, a folder, a share that is away.
  if (error instanceof Error && 'syscall' in error) return;
  throw error;
}
