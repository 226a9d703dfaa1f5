const common = ['conv_dim', 'conv_alpha', 'rank_dropout', 'module_dropout'];
const loraPlus = ['loraplus_lr_ratio', 'loraplus_unet_lr_ratio', 'loraplus_text_encoder_lr_ratio'];
const blocks = [
  'block_dims',
  'block_alphas',
  'conv_block_dims',
  'conv_block_alphas',
  'down_lr_weight',
  'mid_lr_weight',
  'up_lr_weight',
  'block_lr_zero_threshold',
];

/** Keys of `network_args` by network module; sd-scripts passes over all others without a word. */
const knownArguments: Readonly<Record<string, readonly string[]>> = {
  'networks.lora': [...common, ...loraPlus, ...blocks],
  'networks.lora_fa': [...common, ...blocks],
  'networks.lora_flux': [
    ...common,
    ...loraPlus,
    ...['img_attn_dim', 'txt_attn_dim', 'img_mlp_dim', 'txt_mlp_dim', 'img_mod_dim', 'txt_mod_dim'],
    ...['single_dim', 'single_mod_dim', 'in_dims', 'split_qkv', 'train_blocks', 'train_t5xxl', 'verbose'],
    ...['train_double_block_indices', 'train_single_block_indices', 'network_reg_dims', 'network_reg_lrs'],
    ...['ggpo_sigma', 'ggpo_beta'],
  ],
};

/** Keys that the network module would ignore, and those that it knows. */
export function unknownNetworkArguments(
  networkModule: string,
  assignments: readonly string[],
): { unknown: string[]; known: readonly string[] } {
  const known = knownArguments[networkModule] ?? [];
  const keys = assignments.map((assignment) => assignment.slice(0, assignment.indexOf('=')));
  return { unknown: keys.filter((key) => !known.includes(key)), known };
}
