import { z } from 'zod';

import { assignments, atLeastZero, count, flag, path, positive, share, text, wholeNumber } from './option-kinds.js';

/** Base model, network, memory and speed (contract kohya.md, section 2). An option without a default is left to sd-scripts. */
export const modelOptions = {
  /** A checkpoint file, a diffusers folder, or a hub id; a path that is no file is taken for one of the latter. */
  pretrained_model_name_or_path: text,
  vae: text.optional(),
  v2: flag.optional(),
  v_parameterization: flag.optional(),
  tokenizer_cache_dir: path.optional(),
  /** Default by base model. Tower checks what comes out, so only networks that write a plain LoRA. */
  network_module: z.enum(['networks.lora', 'networks.lora_fa', 'networks.lora_flux']).optional(),
  network_dim: count.max(1024).default(32),
  network_alpha: positive.default(16),
  network_dropout: share.optional(),
  network_args: assignments.optional(),
  network_weights: path.optional(),
  dim_from_weights: flag.optional(),
  network_train_unet_only: flag.optional(),
  network_train_text_encoder_only: flag.optional(),
  base_weights: z.array(path).min(1).optional(),
  base_weights_multiplier: z.array(z.number()).min(1).optional(),
  scale_weight_norms: positive.optional(),

  /** `auto`: bf16 on a GPU that has it, else fp16; `no` on the CPU, where the others fail. */
  mixed_precision: z.enum(['auto', 'no', 'fp16', 'bf16']).default('auto'),
  full_fp16: flag.optional(),
  full_bf16: flag.optional(),
  fp8_base: flag.optional(),
  fp8_base_unet: flag.optional(),
  gradient_checkpointing: flag.optional(),
  cpu_offload_checkpointing: flag.optional(),
  /** One of three; `sdpa` unless another is chosen, because it needs nothing extra. */
  xformers: flag.optional(),
  sdpa: flag.optional(),
  mem_eff_attn: flag.optional(),
  cache_latents: flag.default(true),
  cache_latents_to_disk: flag.optional(),
  vae_batch_size: count.optional(),
  skip_cache_check: flag.optional(),
  cache_text_encoder_outputs: flag.optional(),
  cache_text_encoder_outputs_to_disk: flag.optional(),
  no_half_vae: flag.optional(),
  lowram: flag.optional(),
  highvram: flag.optional(),
  /**
   * 0 loads in the trainer itself: best for small sets, and only then are the held-out images in the same order in every epoch,
   * so that each meets the same noise.
   */
  max_data_loader_n_workers: wholeNumber.default(0),
  persistent_data_loader_workers: flag.optional(),
  torch_compile: flag.optional(),
  dynamo_backend: z
    .enum([
      'eager',
      'aot_eager',
      'inductor',
      'aot_ts_nvfuser',
      'nvprims_nvfuser',
      'cudagraphs',
      'ofi',
      'fx2trt',
      'onnxrt',
      'tensort',
      'ipex',
      'tvm',
    ])
    .optional(),
  disable_mmap_load_safetensors: flag.optional(),
};

/** Only `flux_train_network.py` has these. Their defaults here are the documented recommendation, not those of the script. */
export const fluxOptions = {
  clip_l: path.optional(),
  t5xxl: path.optional(),
  ae: path.optional(),
  t5xxl_max_token_length: count.optional(),
  apply_t5_attn_mask: flag.optional(),
  guidance_scale: atLeastZero.optional(),
  timestep_sampling: z.enum(['sigma', 'uniform', 'sigmoid', 'shift', 'flux_shift']).optional(),
  sigmoid_scale: z.number().optional(),
  model_prediction_type: z.enum(['raw', 'additive', 'sigma_scaled']).optional(),
  discrete_flow_shift: z.number().optional(),
  model_type: z.enum(['flux', 'chroma']).optional(),
  weighting_scheme: z.enum(['sigma_sqrt', 'logit_normal', 'mode', 'cosmap', 'none', 'uniform']).optional(),
  logit_mean: z.number().optional(),
  logit_std: z.number().optional(),
  mode_scale: z.number().optional(),
  text_encoder_batch_size: count.optional(),
  blocks_to_swap: wholeNumber.max(35).optional(),
};
