import { z } from 'zod';

import { count, flag, path, range, resolution, share, wholeNumber } from './option-kinds.js';

/** Of `[[datasets]]` in dataset.toml (contract kohya.md, section 3.2). */
export const datasetOptions = {
  resolution: resolution.prefault('768,768'),
  enable_bucket: flag.optional(),
  min_bucket_reso: count.optional(),
  max_bucket_reso: count.optional(),
  bucket_reso_steps: count.optional(),
  bucket_no_upscale: flag.optional(),
  network_multiplier: z.number().optional(),
  resize_interpolation: z.enum(['lanczos', 'nearest', 'bilinear', 'linear', 'bicubic', 'cubic', 'area']).optional(),
};

/** Of `[[datasets.subsets]]`. Texts may be empty or blank: a separator or prefix often is. */
export const subsetOptions = {
  num_repeats: count.max(10_000).default(10),
  shuffle_caption: flag.default(true),
  caption_extension: z
    .string()
    .regex(/^\.[\w.-]+$/, 'expected an extension with its dot')
    .default('.txt'),
  caption_separator: z.string().min(1).optional(),
  keep_tokens: wholeNumber.default(1),
  keep_tokens_separator: z.string().optional(),
  secondary_separator: z.string().min(1).optional(),
  enable_wildcard: flag.optional(),
  caption_prefix: z.string().optional(),
  caption_suffix: z.string().optional(),
  caption_dropout_rate: share.optional(),
  caption_tag_dropout_rate: share.optional(),
  caption_dropout_every_n_epochs: wholeNumber.optional(),
  token_warmup_min: count.optional(),
  token_warmup_step: z.number().min(0).optional(),
  class_tokens: z.string().min(1).optional(),
  cache_info: flag.optional(),
  color_aug: flag.optional(),
  flip_aug: flag.optional(),
  random_crop: flag.optional(),
  face_crop_aug_range: range.optional(),
  alpha_mask: flag.optional(),
};

/** Regularisation images become a subset of their own. */
export const extraDataOptions = {
  /** A folder with images and, beside them, captions; each image once per epoch. */
  reg_data_dir: path.optional(),
};
