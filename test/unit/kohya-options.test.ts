import { describe, expect, it } from 'vitest';

import { resolveOptions } from '../../src/kohya/base-model.js';
import { kohyaOptionNames, kohyaOptionsSchema, parseKohyaOptions } from '../../src/kohya/options.js';

const model = { pretrained_model_name_or_path: '/models/base.safetensors' };

it('has the defaults of the pipeline that it replaces', () => {
  expect(parseKohyaOptions(model)).toMatchObject({
    network_dim: 32,
    network_alpha: 16,
    learning_rate: 1e-4,
    lr_scheduler: 'cosine_with_restarts',
    lr_warmup_steps: 100,
    max_train_epochs: 15,
    train_batch_size: 1,
    gradient_accumulation_steps: 1,
    resolution: [768, 768],
    num_repeats: 10,
    caption_extension: '.txt',
    keep_tokens: 1,
    max_token_length: 225,
    min_snr_gamma: 5,
    prior_loss_weight: 1,
    save_precision: 'fp16',
    seed: 42,
    cache_latents: true,
    save_every_n_epochs: 1,
  });
});

it('W28: attention and precision follow the device, and xformers is taken only when asked for', () => {
  const options = parseKohyaOptions(model);
  expect(resolveOptions('sd', options, 'no')).toMatchObject({ sdpa: true, mixed_precision: 'no' });
  expect(resolveOptions('sd', options, 'bf16')).toMatchObject({ sdpa: true, mixed_precision: 'bf16' });
  const chosen = parseKohyaOptions({ ...model, xformers: true, mixed_precision: 'fp16' });
  const resolved = resolveOptions('sd', chosen, 'bf16');
  expect(resolved).toMatchObject({ xformers: true, mixed_precision: 'fp16' });
  expect(resolved.sdpa).toBeUndefined();
  expect(resolveOptions('sdxl', options, 'fp16').no_half_vae).toBe(true);
});

describe('keys that are no options are refused, because sd-scripts would pass over them', () => {
  it.each([
    ['netowrk_dim', 'is network_dim meant?'],
    ['max_epochs', 'is max_train_epochs meant?'],
    ['unrelated_thing_altogether', 'there is no option unrelated_thing_altogether'],
    ['output_dir', 'output_dir cannot be set: Tower trains in the run folder'],
    ['resume', 'resume cannot be set: Tower resumes'],
    ['toString', 'there is no option toString'],
  ])('%s', (key, message) => {
    const { error } = kohyaOptionsSchema.safeParse({ ...model, [key]: 1 });
    expect(error?.issues.map((issue) => issue.message).join()).toContain(message);
  });
});

describe('what sd-scripts would stumble over is refused', () => {
  it.each([
    [{ lr_scheduler: 'constant' }, 'constant has no warm-up: set lr_warmup_steps to 0, or take constant_with_warmup'],
    [{ lr_scheduler: 'cosinus' }, 'lr_scheduler: expected linear, cosine'],
    [{ xformers: true, sdpa: true }, 'choose one of sdpa and xformers'],
    [{ text_encoder_lr: 0 }, 'text_encoder_lr'],
    [{ network_alpha: '16' }, 'network_alpha'],
    [{ cache_latents: true, random_crop: true }, 'random_crop: changes images'],
    [{ cache_text_encoder_outputs: true }, 'needs network_train_unet_only'],
    [{ full_bf16: true }, 'needs mixed_precision bf16'],
    [{ resolution: '768,700' }, 'expected a multiple of 8'],
    [{ resolution: 128, enable_bucket: true }, 'between min_bucket_reso 256 and max_bucket_reso 1024'],
    [{ network_args: ['conv_dim:4'] }, 'expected key=value'],
    [{ max_token_length: 100 }, 'max_token_length'],
    [{ persistent_data_loader_workers: true }, 'needs max_data_loader_n_workers above 0'],
  ])('%j', (options, message) => {
    expect(() => parseKohyaOptions({ ...model, ...options })).toThrow(message);
  });

  it('with all faults at once', () => {
    expect(() => parseKohyaOptions({ network_dim: 0, seed: -1 })).toThrow(
      /pretrained_model_name_or_path: .*network_dim: .*seed: /,
    );
  });
});

it('accepts constant without warm-up, shares of steps, and every way to write a resolution', () => {
  expect(parseKohyaOptions({ ...model, lr_scheduler: 'constant', lr_warmup_steps: 0 }).lr_warmup_steps).toBe(0);
  expect(parseKohyaOptions({ ...model, lr_warmup_steps: '10%' }).lr_warmup_steps).toBe(0.1);
  for (const resolution of [512, '512', '512,512', [512, 512]]) {
    expect(parseKohyaOptions({ ...model, resolution }).resolution).toEqual([512, 512]);
  }
  expect(parseKohyaOptions({ ...model, face_crop_aug_range: '2.0,4.0' }).face_crop_aug_range).toEqual([2, 4]);
});

it('knows which options belong to which base model', () => {
  const options = (more: object) => parseKohyaOptions({ ...model, ...more });
  expect(() => resolveOptions('sd', options({ guidance_scale: 1 }), 'no')).toThrow('guidance_scale: only FLUX has it');
  expect(() => resolveOptions('sdxl', options({ clip_skip: 2 }), 'no')).toThrow('clip_skip: only Stable Diffusion');
  expect(() => resolveOptions('flux', options({}), 'bf16')).toThrow(/clip_l: .*t5xxl: .*ae: /);
  const flux = options({ clip_l: '/m/clip_l.safetensors', t5xxl: '/m/t5.safetensors', ae: '/m/ae.safetensors' });
  expect(resolveOptions('flux', flux, 'bf16')).toMatchObject({
    network_module: 'networks.lora_flux',
    model_prediction_type: 'raw',
    guidance_scale: 1,
  });
  expect(() => resolveOptions('sd', options({ network_args: ['loraplus_lr_rati=16'] }), 'no')).toThrow(
    'networks.lora has no loraplus_lr_rati; is loraplus_lr_ratio meant?',
  );
  const buckets = options({ enable_bucket: true, bucket_reso_steps: 32 });
  expect(() => resolveOptions('sd', buckets, 'no')).toThrow('bucket_reso_steps: expected a multiple of 64');
  expect(resolveOptions('sdxl', buckets, 'no').bucket_reso_steps).toBe(32);
});

it('names every option of the contract that a pipeline should expose', () => {
  // A few of each group; those that Tower owns are not among them.
  const names =
    'vae v2 network_dropout network_args scale_weight_norms unet_lr optimizer_args lr_decay_steps max_grad_norm noise_offset ' +
    'multires_noise_iterations ip_noise_gamma loss_type clip_skip validation_split fp8_base gradient_checkpointing mem_eff_attn ' +
    'cache_latents_to_disk no_half_vae lowram torch_compile blocks_to_swap shuffle_caption caption_dropout_rate enable_bucket ' +
    'flip_aug masked_loss alpha_mask token_warmup_step cache_info resize_interpolation save_last_n_epochs metadata_author ' +
    'sample_sampler reg_data_dir t5xxl';
  expect(names.split(' ').filter((name) => !kohyaOptionNames.includes(name))).toEqual([]);
});
