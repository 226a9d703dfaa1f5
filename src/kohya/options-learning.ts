import { z } from 'zod';

import {
  assignments,
  atLeastZero,
  count,
  flag,
  positive,
  share,
  stepsOrShare,
  text,
  wholeNumber,
} from './option-kinds.js';

const rate = positive.max(10);

/** How it learns, what it samples and what it writes (contract kohya.md, section 2). */
export const learningOptions = {
  learning_rate: rate.default(1e-4),
  unet_lr: rate.optional(),
  /** One rate, or one for each text encoder. 0 is refused: it would make a LoRA without text encoder; say so instead. */
  text_encoder_lr: z.union([rate, z.array(rate).min(1).max(3)]).optional(),
  optimizer_type: text.default('AdamW'),
  optimizer_args: assignments.optional(),
  lr_scheduler: z
    .string()
    .regex(
      /^(linear|cosine|cosine_with_restarts|polynomial|constant|constant_with_warmup|inverse_sqrt|cosine_with_min_lr|warmup_stable_decay|piecewise_constant|adafactor:\d+(\.\d+)?(e-?\d+)?)$/,
      'expected linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup, inverse_sqrt, ' +
        'cosine_with_min_lr, warmup_stable_decay, piecewise_constant or adafactor:<rate>',
    )
    .default('cosine_with_restarts'),
  lr_warmup_steps: stepsOrShare.default(100),
  lr_decay_steps: stepsOrShare.optional(),
  lr_scheduler_num_cycles: count.optional(),
  lr_scheduler_power: positive.optional(),
  lr_scheduler_timescale: count.optional(),
  lr_scheduler_min_lr_ratio: share.optional(),
  lr_scheduler_type: text.optional(),
  lr_scheduler_args: assignments.optional(),
  max_train_epochs: count.max(10_000).default(15),
  train_batch_size: count.max(1024).default(1),
  gradient_accumulation_steps: count.max(1024).default(1),
  max_grad_norm: atLeastZero.optional(),
  /** Also decides the order of the data; always given, so that a resume goes on with the same order. */
  seed: z
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(42),
  /** 0: off. */
  min_snr_gamma: atLeastZero.default(5),
  noise_offset: atLeastZero.optional(),
  noise_offset_random_strength: flag.optional(),
  adaptive_noise_scale: z.number().optional(),
  multires_noise_iterations: count.optional(),
  multires_noise_discount: share.optional(),
  ip_noise_gamma: atLeastZero.optional(),
  ip_noise_gamma_random_strength: flag.optional(),
  zero_terminal_snr: flag.optional(),
  min_timestep: wholeNumber.max(1000).optional(),
  max_timestep: wholeNumber.max(1000).optional(),
  debiased_estimation_loss: flag.optional(),
  scale_v_pred_loss_like_noise_pred: flag.optional(),
  v_pred_like_loss: positive.optional(),
  loss_type: z.enum(['l1', 'l2', 'huber', 'smooth_l1']).optional(),
  huber_schedule: z.enum(['constant', 'exponential', 'snr']).optional(),
  huber_c: positive.optional(),
  huber_scale: positive.optional(),
  clip_skip: count.optional(),
  /** Tokens of a caption that are read; 75 when left out. */
  max_token_length: z.literal([75, 150, 225]).default(225),
  prior_loss_weight: atLeastZero.default(1),
  weighted_captions: flag.optional(),
  masked_loss: flag.optional(),

  /** Share of the images that is never trained on. Its loss after each epoch tells which epoch is best. */
  validation_split: z.number().min(0).max(0.5).default(0.1),
  validation_seed: wholeNumber.default(42),
  validate_every_n_epochs: count.default(1),
  validate_every_n_steps: count.optional(),
  max_validation_steps: count.optional(),

  save_precision: z.enum(['float', 'fp16', 'bf16']).default('fp16'),
  /** A LoRA and a state after every n-th epoch; a kill costs that much work at most. */
  save_every_n_epochs: count.default(1),
  /** How many LoRAs are kept, counted from the newest; left out: all, so that the best can be chosen. */
  save_last_n_epochs: count.optional(),
  /** States are several times the size of the LoRA, and only the newest complete one is needed. */
  save_last_n_epochs_state: count.min(2).default(2),
  no_metadata: flag.optional(),
  training_comment: text.max(2_000).optional(),
  metadata_title: text.optional(),
  metadata_author: text.optional(),
  metadata_description: text.optional(),
  metadata_license: text.optional(),
  metadata_tags: text.optional(),
  metadata_usage_hint: text.optional(),
  metadata_thumbnail: text.optional(),
  metadata_trigger_phrase: text.optional(),
  sample_every_n_epochs: count.default(1),
  sample_at_first: flag.optional(),
  sample_sampler: z
    .enum([
      'ddim',
      'pndm',
      'lms',
      'euler',
      'euler_a',
      'heun',
      'dpm_2',
      'dpm_2_a',
      'dpmsolver',
      'dpmsolver++',
      'dpmsingle',
      'k_lms',
      'k_euler',
      'k_euler_a',
      'k_dpm_2',
      'k_dpm_2_a',
    ])
    .optional(),
};
