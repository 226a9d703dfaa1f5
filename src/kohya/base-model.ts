import { z } from 'zod';

import { invalidOptions, cachesTextEncoder, type KohyaOptions } from './options.js';
import { nearest } from './option-names.js';
import { unknownNetworkArguments } from './network-args.js';
import { fluxOptions } from './options-model.js';

/** What is trained for: Stable Diffusion 1.x (2.x with `v2`), SDXL, or FLUX.1 and Chroma. */
export const baseModelKinds = ['sd', 'sdxl', 'flux'] as const;
export type BaseModelKind = (typeof baseModelKinds)[number];

const olderRecordSchema = z.looseObject({ baseModel: z.unknown(), baseModelKind: z.undefined().optional() });

/** A record of an older Tower, which called the kind `baseModel`, with the present name of it; every other content as it is. */
export function withBaseModelKind(content: unknown): unknown {
  const older = olderRecordSchema.safeParse(content);
  if (!older.success || older.data.baseModel === undefined) return content;
  const { baseModel: baseModelKind, ...others } = older.data;
  return { ...others, baseModelKind };
}

interface BaseModel {
  /** For people. */
  readonly name: string;
  readonly script: string;
  readonly networkModule: NonNullable<KohyaOptions['network_module']>;
  /** Bucket sizes are multiples of it. */
  readonly bucketStep: number;
  /** Begin of the names of U-Net (or DiT) modules and of text encoder modules in the LoRA. */
  readonly unetPrefix: string;
  readonly textEncoderPrefix: string;
}

/** By base model (contract kohya.md, sections 1 and 7). */
export const baseModels: Readonly<Record<BaseModelKind, BaseModel>> = {
  sd: {
    name: 'Stable Diffusion 1.x or 2.x',
    script: 'train_network.py',
    networkModule: 'networks.lora',
    bucketStep: 64,
    unetPrefix: 'lora_unet_',
    textEncoderPrefix: 'lora_te',
  },
  sdxl: {
    name: 'SDXL',
    script: 'sdxl_train_network.py',
    networkModule: 'networks.lora',
    bucketStep: 32,
    unetPrefix: 'lora_unet_',
    textEncoderPrefix: 'lora_te',
  },
  flux: {
    name: 'FLUX.1',
    script: 'flux_train_network.py',
    networkModule: 'networks.lora_flux',
    bucketStep: 64,
    unetPrefix: 'lora_unet_',
    textEncoderPrefix: 'lora_te',
  },
};

/** Options that came out of {@link resolveOptions}: nothing is left to be chosen. */
export interface ResolvedOptions extends KohyaOptions {
  readonly network_module: NonNullable<KohyaOptions['network_module']>;
  readonly mixed_precision: Precision;
}

export type Precision = Exclude<KohyaOptions['mixed_precision'], 'auto'>;

/**
 * Makes the choices that depend on the base model and the device.
 *
 * @param precision - What `mixed_precision` `auto` means on this device.
 * @throws TowerError `KOHYA_OPTIONS_INVALID` for options that the base model does not have.
 */
export function resolveOptions(kind: BaseModelKind, options: KohyaOptions, precision: Precision): ResolvedOptions {
  const model = baseModels[kind];
  const networkModule = options.network_module ?? model.networkModule;
  const faults = [...modelFaults(kind, options), ...networkFaults(kind, networkModule, options.network_args ?? [])];
  if (faults.length > 0) throw invalidOptions(faults);
  const mixedPrecision = options.mixed_precision === 'auto' ? precision : options.mixed_precision;
  const resolved: ResolvedOptions = { ...options, network_module: networkModule, mixed_precision: mixedPrecision };
  if (options.xformers !== true && options.mem_eff_attn !== true) resolved.sdpa = true;
  // The original VAE of SDXL overflows in fp16.
  if (kind === 'sdxl' && mixedPrecision === 'fp16') resolved.no_half_vae = options.no_half_vae ?? true;
  if (kind === 'flux') {
    resolved.model_prediction_type = options.model_prediction_type ?? 'raw';
    resolved.timestep_sampling = options.timestep_sampling ?? 'sigmoid';
    resolved.guidance_scale = options.guidance_scale ?? 1;
  }
  return resolved;
}

function modelFaults(kind: BaseModelKind, options: KohyaOptions): string[] {
  const faults: string[] = [];
  const { bucketStep } = baseModels[kind];
  if (kind === 'flux') {
    for (const name of ['clip_l', 't5xxl', 'ae'] as const) {
      const needed = name !== 'clip_l' || options.model_type !== 'chroma';
      if (needed && options[name] === undefined) faults.push(`${name}: FLUX needs the path of this model`);
    }
    if (options.model_type === 'chroma' && options.apply_t5_attn_mask !== true) {
      faults.push('apply_t5_attn_mask: Chroma needs it');
    }
  } else {
    const names = Object.keys(fluxOptions).filter((name) => options[name as keyof KohyaOptions] !== undefined);
    for (const name of names) faults.push(`${name}: only FLUX has it`);
  }
  if (kind !== 'sd') {
    for (const name of ['v2', 'v_parameterization', 'clip_skip'] as const) {
      if (options[name] !== undefined && !(kind === 'sdxl' && name === 'v_parameterization')) {
        faults.push(`${name}: only Stable Diffusion 1.x and 2.x have it`);
      }
    }
  } else if (cachesTextEncoder(options)) {
    faults.push('cache_text_encoder_outputs: only SDXL and FLUX have it');
  }
  const { bucket_reso_steps: step } = options;
  if (options.enable_bucket === true && step !== undefined && step % bucketStep !== 0) {
    faults.push(`bucket_reso_steps: expected a multiple of ${bucketStep}`);
  }
  return faults;
}

function networkFaults(kind: BaseModelKind, networkModule: string, networkArgs: readonly string[]): string[] {
  const { unknown, known } = unknownNetworkArguments(networkModule, networkArgs);
  const faults = unknown.map((key) => {
    const name = nearest(key, known);
    return `network_args: ${networkModule} has no ${key}${name === undefined ? '' : `; is ${name} meant?`}`;
  });
  if ((kind === 'flux') !== (networkModule === 'networks.lora_flux')) {
    faults.push(`network_module: ${networkModule} does not fit; leave it out`);
  }
  return faults;
}
