import { open, stat } from 'node:fs/promises';

import { describeError, TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { sha256OfFile } from '../files/sha256.js';
import { readSafetensorsHeader, readTensorContents, type SafetensorsTensor } from '../training/safetensors.js';
import type { ArtefactCheck } from '../training/trainer-driver.js';
import { baseModels, type BaseModelKind, type ResolvedOptions } from './base-model.js';
import { kindOfHeader } from './model-kind.js';

/** What a LoRA must be like to be the one that was ordered. */
export interface LoraExpectation {
  readonly baseModelKind: BaseModelKind;
  readonly options: Pick<
    ResolvedOptions,
    | 'network_dim'
    | 'network_alpha'
    | 'network_args'
    | 'dim_from_weights'
    | 'network_train_unet_only'
    | 'network_train_text_encoder_only'
    | 'no_metadata'
  >;
  readonly simulated: boolean;
  /** Must stand in the training comment, unless metadata was refused. */
  readonly comment: string;
  /** Modules that the trainer said it trains. */
  readonly modules?: { readonly textEncoder: number; readonly unet: number } | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** In the training comment of every LoRA of the stand-in, and of no other. */
export const simulatedComment = '[simulated]';

/** Module → its three tensors. */
type Modules = ReadonlyMap<string, Readonly<Record<TensorRole, SafetensorsTensor>>>;
type TensorRole = 'down' | 'up' | 'alpha';

/**
 * Proves that a file is a trained LoRA of this order (contract kohya.md, section 7): modules complete and of the ordered rank and
 * alpha, U-Net and text encoder present as ordered, no number NaN or infinite, and `lora_up`, which starts at zero, not all zero.
 * Constant memory.
 */
export async function checkLora(path: string, expectation: LoraExpectation): Promise<ArtefactCheck> {
  const found = await stat(path).catch(undefinedIfAbsent);
  if (found === undefined) return { valid: false, reason: `there is no ${path}` };
  try {
    const fault = await loraFault(path, expectation);
    if (fault !== undefined) return { valid: false, reason: `${path}: ${fault}` };
    return { valid: true, path, sha256: await sha256OfFile(path, expectation.signal), bytes: found.size };
  } catch (error) {
    const damaged = error instanceof TowerError || (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!damaged) throw error;
    return { valid: false, reason: describeError(error) };
  }
}

async function loraFault(path: string, expectation: LoraExpectation): Promise<string | undefined> {
  const { metadata, tensors } = await readSafetensorsHeader(path);
  const { modules, fault } = groupModules(tensors);
  return (
    fault ??
    metadataFault(metadata, expectation) ??
    kindFault(metadata, [...modules.keys()], expectation) ??
    targetFault([...modules.keys()], expectation) ??
    rankFault(modules, expectation) ??
    (await alphaFault(path, modules, expectation)) ??
    (await contentFault(path, tensors, modules, expectation.signal))
  );
}

function groupModules(tensors: readonly SafetensorsTensor[]): { modules: Modules; fault?: string } {
  const parts = new Map<string, Partial<Record<TensorRole, SafetensorsTensor>>>();
  for (const tensor of tensors) {
    const [, module, role] = /^(.+?)\.(?:lora_(down|up)\.weight|alpha)$/.exec(tensor.name) ?? [];
    if (module === undefined) return { modules: new Map(), fault: `tensor ${tensor.name} belongs to no LoRA` };
    parts.set(module, { ...parts.get(module), [role ?? 'alpha']: tensor });
  }
  const modules = new Map<string, Record<TensorRole, SafetensorsTensor>>();
  for (const [module, { down, up, alpha }] of parts) {
    if (down === undefined || up === undefined || alpha === undefined) {
      const missing = down === undefined ? 'lora_down' : up === undefined ? 'lora_up' : 'alpha';
      return { modules, fault: `module ${module} has no ${missing}` };
    }
    modules.set(module, { down, up, alpha });
  }
  return modules.size === 0 ? { modules, fault: 'it has no module' } : { modules };
}

function metadataFault(metadata: Readonly<Record<string, string>>, expectation: LoraExpectation): string | undefined {
  const comment = metadata['ss_training_comment'] ?? '';
  if (comment.includes(simulatedComment) !== expectation.simulated) {
    return expectation.simulated ? 'it is not of the simulated trainer' : 'it was made by the simulated trainer';
  }
  if (expectation.options.no_metadata === true) return undefined;
  return comment.includes(expectation.comment) ? undefined : `it is of another run (${comment || 'no comment'})`;
}

function kindFault(
  metadata: Readonly<Record<string, string>>,
  names: readonly string[],
  { baseModelKind }: LoraExpectation,
): string | undefined {
  const kind = kindOfHeader({ metadata, names });
  if (kind === undefined || kind === baseModelKind) return undefined;
  return `it is a LoRA for ${baseModels[kind].name}, ordered was one for ${baseModels[baseModelKind].name}`;
}

function targetFault(
  names: readonly string[],
  { baseModelKind, options, modules }: LoraExpectation,
): string | undefined {
  const { unetPrefix, textEncoderPrefix } = baseModels[baseModelKind];
  const unet = names.filter((name) => name.startsWith(unetPrefix)).length;
  const textEncoder = names.filter((name) => name.startsWith(textEncoderPrefix)).length;
  if (unet + textEncoder < names.length) return 'it has modules of another base model';
  if (options.network_train_text_encoder_only !== true && unet === 0) return 'it has no module of the U-Net';
  if (options.network_train_unet_only !== true && textEncoder === 0) return 'it has no module of the text encoder';
  if (modules === undefined) return undefined;
  for (const [what, there, trained] of [
    ['the U-Net', unet, modules.unet],
    ['the text encoder', textEncoder, modules.textEncoder],
  ] as const) {
    if (there !== trained) return `it has ${there} modules of ${what}, ${trained} were trained`;
  }
  return undefined;
}

/** Network arguments may give single modules other ranks. */
function rankFault(modules: Modules, { options }: LoraExpectation): string | undefined {
  const fixed = options.dim_from_weights !== true && (options.network_args ?? []).length === 0;
  for (const [name, { down, up }] of modules) {
    const [rank] = down.shape;
    if (rank !== up.shape[1]) return `module ${name} has ranks ${rank ?? 'none'} and ${up.shape[1] ?? 'none'}`;
    if (fixed && rank !== options.network_dim) {
      return `module ${name} has rank ${rank ?? 'none'}, ordered were ${options.network_dim}`;
    }
  }
  return undefined;
}

async function alphaFault(path: string, modules: Modules, { options }: LoraExpectation): Promise<string | undefined> {
  if (options.dim_from_weights === true || (options.network_args ?? []).length > 0) return undefined;
  const file = await open(path, 'r');
  try {
    for (const [name, { alpha }] of modules) {
      const bytes = Buffer.alloc(alpha.end - alpha.start);
      await file.read(bytes, 0, bytes.length, alpha.start);
      const value = firstNumber(bytes, alpha.dtype);
      // The file's precision may be low.
      if (value === undefined || Math.abs(value - options.network_alpha) > options.network_alpha * 0.01) {
        return `module ${name} has alpha ${value ?? alpha.dtype}, ordered were ${options.network_alpha}`;
      }
    }
    return undefined;
  } finally {
    await file.close();
  }
}

/** `undefined` for types that no alpha has. */
function firstNumber(bytes: Buffer, dtype: string): number | undefined {
  if (dtype === 'F32') return bytes.readFloatLE();
  if (dtype === 'F64') return bytes.readDoubleLE();
  if (dtype === 'BF16') return Buffer.concat([Buffer.alloc(2), bytes.subarray(0, 2)]).readFloatLE();
  if (dtype !== 'F16') return undefined;
  const half = bytes.readUInt16LE();
  const [sign, exponent, fraction] = [half >> 15 === 0 ? 1 : -1, (half >> 10) & 0x1f, half & 0x3ff];
  return exponent === 0 ? sign * 2 ** -24 * fraction : sign * 2 ** (exponent - 15) * (1 + fraction / 1024);
}

async function contentFault(
  path: string,
  tensors: readonly SafetensorsTensor[],
  modules: Modules,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const contents = await readTensorContents(path, tensors, signal);
  for (const [name, { finite }] of contents) if (!finite) return `${name} holds NaN or infinite numbers`;
  const trained = [...modules.values()].some(({ up }) => contents.get(up.name)?.allZero === false);
  return trained ? undefined : 'every lora_up is zero: nothing was learnt';
}
