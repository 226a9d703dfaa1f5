import { basename } from 'node:path';

import { SeededRandom } from '../../seeded-random.js';
import { writeFileDurable } from '../../files/durable-write.js';
import { simulatedComment } from '../../kohya/lora-check.js';
import { numberOf, textOf, type Arguments } from './command-line.js';

/** A trained module: its name in the LoRA, and the width of what goes in and out. */
export interface Module {
  readonly name: string;
  readonly target: 'text encoder' | 'U-Net';
  readonly width: readonly [input: number, output: number];
}

const clip = 'text_model_encoder_layers_0';
const attention = 'transformer_blocks_0_attn1_to';

/** A few of the real modules of each base model, with their real names and shapes. */
const modulesOfScript: Readonly<Record<string, readonly Module[]>> = {
  'train_network.py': [
    { name: `lora_te_${clip}_self_attn_q_proj`, target: 'text encoder', width: [768, 768] },
    { name: `lora_te_${clip}_mlp_fc1`, target: 'text encoder', width: [768, 3072] },
    { name: `lora_unet_down_blocks_0_attentions_0_${attention}_q`, target: 'U-Net', width: [320, 320] },
    { name: `lora_unet_down_blocks_0_attentions_0_${attention}_out_0`, target: 'U-Net', width: [320, 320] },
    { name: `lora_unet_mid_block_attentions_0_${attention}_k`, target: 'U-Net', width: [1280, 1280] },
  ],
  'sdxl_train_network.py': [
    { name: `lora_te1_${clip}_self_attn_q_proj`, target: 'text encoder', width: [768, 768] },
    { name: `lora_te2_${clip}_self_attn_q_proj`, target: 'text encoder', width: [1280, 1280] },
    { name: `lora_unet_input_blocks_4_1_${attention}_q`, target: 'U-Net', width: [640, 640] },
  ],
  'flux_train_network.py': [
    { name: `lora_te1_${clip}_self_attn_q_proj`, target: 'text encoder', width: [768, 768] },
    { name: 'lora_unet_double_blocks_0_img_attn_proj', target: 'U-Net', width: [3072, 3072] },
  ],
};

export function modulesOf(script: string, args: Arguments): readonly Module[] {
  return (modulesOfScript[script] ?? []).filter(
    ({ target }) =>
      !(target === 'text encoder' && args['network_train_unet_only'] === true) &&
      !(target === 'U-Net' && args['network_train_text_encoder_only'] === true),
  );
}

/** What becomes of the numbers of a LoRA. `fault`: nothing learnt, or a loss that was no number. */
export interface Weights {
  /** Every number follows from it. */
  readonly chain: string;
  readonly fault?: 'zero' | 'nan' | undefined;
}

/** What a LoRA says of itself. */
interface LoraOrder {
  readonly script: string;
  readonly args: Arguments;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Writes a LoRA of these modules as sd-scripts does: atomically, for its owner alone. */
export async function writeLora(
  path: string,
  modules: readonly Module[],
  weights: Weights,
  order: LoraOrder,
): Promise<void> {
  const { args } = order;
  const rank = numberOf(args, 'network_dim', 4);
  const precision = textOf(args, 'save_precision') ?? 'fp16';
  const [dtype, write] = precision === 'float' ? (['F32', writeFloat] as const) : (['F16', writeHalf] as const);
  const header: Record<string, unknown> = { __metadata__: metadataOf(order) };
  const data: Buffer[] = [];
  let offset = 0;
  const add = (name: string, shape: readonly number[], value: () => number): void => {
    const bytes = write(
      shape.reduce((product, side) => product * side, 1),
      value,
    );
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    data.push(bytes);
    offset += bytes.length;
  };
  for (const { name, width } of modules) {
    const random = new SeededRandom(`${weights.chain} ${name}`);
    const trained = weights.fault === 'nan' ? () => Number.NaN : () => (random.next() - 0.5) / 50;
    add(`${name}.alpha`, [], () => numberOf(args, 'network_alpha', 1));
    add(`${name}.lora_down.weight`, [rank, width[0]], trained);
    add(`${name}.lora_up.weight`, [width[1], rank], weights.fault === 'zero' ? () => 0 : trained);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  await writeFileDurable(path, Buffer.concat([length, json, ...data]), 0o600);
}

function baseModelVersionOf(script: string, args: Arguments): string {
  if (script === 'sdxl_train_network.py') return 'sdxl_base_v1-0';
  if (script === 'flux_train_network.py') return 'flux1';
  return `sd_v${args['v2'] === true ? 2 : 1}${args['v_parameterization'] === true ? '_v' : ''}`;
}

/** The keys that others read; all values are texts made by Python. */
function metadataOf({ script, args, metadata }: LoraOrder): Record<string, string> {
  const comment = `${simulatedComment} ${textOf(args, 'training_comment') ?? ''}`;
  const model = textOf(args, 'pretrained_model_name_or_path') ?? '';
  const common = {
    ss_base_model_version: baseModelVersionOf(script, args),
    ss_network_module: String(args['network_module']),
    ss_network_dim: String(args['network_dim']),
    ss_network_alpha: String(args['network_alpha']),
  };
  // Also where no metadata is wanted: nobody may take it for a real one.
  if (args['no_metadata'] === true) return { ...common, ss_training_comment: simulatedComment };
  const rest = {
    ss_sd_model_name: basename(model),
    ss_output_name: textOf(args, 'output_name') ?? 'None',
    ss_training_comment: comment,
  };
  return { ...common, ...rest, ...metadata };
}

function writeFloat(count: number, value: () => number): Buffer {
  const bytes = Buffer.alloc(count * 4);
  for (let index = 0; index < count; index += 1) bytes.writeFloatLE(value(), index * 4);
  return bytes;
}

function writeHalf(count: number, value: () => number): Buffer {
  const bytes = Buffer.alloc(count * 2);
  for (let index = 0; index < count; index += 1) bytes.writeUInt16LE(halfOf(value()), index * 2);
  return bytes;
}

/** IEEE half precision, cut off; small numbers become zero. */
function halfOf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const magnitude = Math.abs(value);
  if (magnitude < 2 ** -14) return 0;
  const exponent = Math.floor(Math.log2(magnitude));
  const fraction = Math.floor((magnitude / 2 ** exponent - 1) * 1024);
  return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
}
