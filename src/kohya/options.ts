import { z } from 'zod';

import { TowerError } from '../errors.js';
import { unknownOptions } from './option-names.js';
import { datasetOptions, extraDataOptions, subsetOptions } from './options-data.js';
import { learningOptions } from './options-learning.js';
import { fluxOptions, modelOptions } from './options-model.js';

const shape = {
  ...modelOptions,
  ...fluxOptions,
  ...learningOptions,
  ...datasetOptions,
  ...subsetOptions,
  ...extraDataOptions,
};

/** Names of all options, for messages. */
export const kohyaOptionNames: readonly string[] = Object.keys(shape);

const fields = z.strictObject(shape, {
  error: (issue) => (issue.code === 'unrecognized_keys' ? unknownOptions(issue.keys, kohyaOptionNames) : undefined),
});

/**
 * All options of sd-scripts that a run may set, by their own names, with the pipeline's defaults: those of the system that Tower
 * replaces, with attention and precision chosen by capability. Nothing that sd-scripts would ignore or stumble over gets through.
 */
export const kohyaOptionsSchema = fields.superRefine((options, context) => {
  for (const [name, message] of contradictions(options)) {
    context.addIssue({ code: 'custom', path: [name], message });
  }
});

export type KohyaOptions = z.output<typeof kohyaOptionsSchema>;
export type KohyaOptionsInput = z.input<typeof kohyaOptionsSchema>;

type Contradiction = readonly [name: keyof KohyaOptions, message: string];

function contradictions(options: KohyaOptions): Contradiction[] {
  return [...schedulerFaults(options), ...memoryFaults(options), ...dataFaults(options), ...targetFaults(options)];
}

function schedulerFaults({ lr_scheduler, lr_warmup_steps, lr_scheduler_type }: KohyaOptions): Contradiction[] {
  const withoutWarmup = lr_scheduler === 'constant' || lr_scheduler.startsWith('adafactor:');
  if (lr_warmup_steps === 0 || !(withoutWarmup || lr_scheduler_type !== undefined)) return [];
  const other = lr_scheduler === 'constant' ? ', or take constant_with_warmup' : '';
  return [['lr_warmup_steps', `${lr_scheduler_type ?? lr_scheduler} has no warm-up: set lr_warmup_steps to 0${other}`]];
}

function memoryFaults(options: KohyaOptions): Contradiction[] {
  const faults: Contradiction[] = [];
  const attention = (['sdpa', 'xformers', 'mem_eff_attn'] as const).filter((name) => options[name] === true);
  if (attention.length > 1) faults.push([attention[1] ?? 'sdpa', `choose one of ${attention.join(' and ')}`]);
  const precision = options.mixed_precision;
  if (options.full_fp16 === true && precision !== 'fp16') faults.push(['full_fp16', 'needs mixed_precision fp16']);
  if (options.full_bf16 === true && precision !== 'bf16') faults.push(['full_bf16', 'needs mixed_precision bf16']);
  const fp8 = options.fp8_base === true || options.fp8_base_unet === true;
  if (fp8 && precision === 'no') faults.push(['fp8_base', 'needs mixed_precision fp16 or bf16']);
  if (options.blocks_to_swap !== undefined && options.cpu_offload_checkpointing === true) {
    faults.push(['blocks_to_swap', 'cannot be combined with cpu_offload_checkpointing']);
  }
  return faults;
}

function dataFaults(options: KohyaOptions): Contradiction[] {
  const faults: Contradiction[] = [];
  if (options.persistent_data_loader_workers === true && options.max_data_loader_n_workers === 0) {
    faults.push(['persistent_data_loader_workers', 'needs max_data_loader_n_workers above 0']);
  }
  const cached = options.cache_latents || options.cache_latents_to_disk === true;
  for (const name of ['color_aug', 'random_crop'] as const) {
    if (cached && options[name] === true) faults.push([name, 'changes images, so it needs cache_latents false']);
  }
  if (cachesTextEncoder(options)) {
    if (options.network_train_unet_only !== true) {
      faults.push(['cache_text_encoder_outputs', 'needs network_train_unet_only']);
    }
    const { shuffle_caption, caption_dropout_rate = 0, caption_tag_dropout_rate = 0, token_warmup_step = 0 } = options;
    if (shuffle_caption || caption_dropout_rate > 0 || caption_tag_dropout_rate > 0 || token_warmup_step > 0) {
      faults.push(['cache_text_encoder_outputs', 'needs captions that stay the same: no shuffle, dropout or warm-up']);
    }
  }
  const { enable_bucket, resolution, min_bucket_reso = 256, max_bucket_reso = 1024 } = options;
  if (
    enable_bucket === true &&
    (Math.min(...resolution) < min_bucket_reso || Math.max(...resolution) > max_bucket_reso)
  ) {
    faults.push([
      'resolution',
      `expected sides between min_bucket_reso ${min_bucket_reso} and max_bucket_reso ${max_bucket_reso}`,
    ]);
  }
  if (options.adaptive_noise_scale !== undefined && options.noise_offset === undefined) {
    faults.push(['adaptive_noise_scale', 'needs noise_offset']);
  }
  return faults;
}

function targetFaults(options: KohyaOptions): Contradiction[] {
  const faults: Contradiction[] = [];
  if (options.network_train_unet_only === true && options.network_train_text_encoder_only === true) {
    faults.push(['network_train_text_encoder_only', 'leaves nothing to train together with network_train_unet_only']);
  }
  if (options.dim_from_weights === true && options.network_weights === undefined) {
    faults.push(['dim_from_weights', 'needs network_weights']);
  }
  if (options.v_parameterization !== true && options.scale_v_pred_loss_like_noise_pred === true) {
    faults.push(['scale_v_pred_loss_like_noise_pred', 'needs v_parameterization']);
  }
  if (options.v_parameterization === true && options.v_pred_like_loss !== undefined) {
    faults.push(['v_pred_like_loss', 'cannot be combined with v_parameterization']);
  }
  return faults;
}

export function cachesTextEncoder(
  options: Pick<KohyaOptions, 'cache_text_encoder_outputs' | 'cache_text_encoder_outputs_to_disk'>,
): boolean {
  return options.cache_text_encoder_outputs === true || options.cache_text_encoder_outputs_to_disk === true;
}

/**
 * {@link kohyaOptionsSchema} for callers outside of a larger schema.
 *
 * @throws TowerError `KOHYA_OPTIONS_INVALID` naming every fault.
 */
export function parseKohyaOptions(input: unknown): KohyaOptions {
  const result = kohyaOptionsSchema.safeParse(input);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ path, message }) => [...path.map(String), message].join(': '));
  throw invalidOptions(faults);
}

export function invalidOptions(faults: readonly string[]): TowerError {
  return new TowerError('KOHYA_OPTIONS_INVALID', `The options of the training do not fit: ${faults.join('; ')}`, {
    next: 'Correct them in the job.',
    details: { faults },
  });
}
