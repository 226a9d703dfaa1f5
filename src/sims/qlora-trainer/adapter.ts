import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { renameDurable, writeFileDurable, writeJsonDurable } from '../../files/durable-write.js';
import { adapterConfigFile, adapterWeightsFile, simulatedMarkFile, trainingResultFile } from '../../qlora/run-files.js';
import type { SimulatedConfig } from './config.js';
import { TrainerFault } from './events.js';

export interface TrainingResult {
  readonly fingerprint: string;
  readonly step: number;
  /** Of the training set. */
  readonly samples: number;
  readonly trainLoss: number;
  readonly heldOutLoss?: number | undefined;
}

const hiddenSize = 16;
const layers = 2;

/** The result of an earlier launch that finished, or `undefined`. An adapter of other work is a fault of the configuration. */
export function finishedResult(config: SimulatedConfig, fingerprint: string): TrainingResult | undefined {
  const path = join(config.output, 'adapter', trainingResultFile);
  if (!existsSync(path)) return undefined;
  const result = JSON.parse(readFileSync(path, 'utf8')) as TrainingResult;
  if (result.fingerprint === fingerprint) return result;
  throw new TrainerFault(
    'bad-config',
    `${config.output} already holds the adapter of another configuration or dataset`,
  );
}

/** Writes a small but real peft adapter whose numbers follow from `state`, then gives it its final name by rename. */
export async function saveAdapter(config: SimulatedConfig, state: string, result: TrainingResult): Promise<void> {
  const partial = join(config.output, 'adapter.partial');
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  await writeFileDurable(join(partial, adapterWeightsFile), weights(config, state));
  await writeJsonDurable(join(partial, adapterConfigFile), {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: config.baseModel,
    r: config.lora.r,
    lora_alpha: config.lora.alpha,
    target_modules: config.lora.targetModules,
    bias: 'none',
    inference_mode: true,
  });
  await writeJsonDurable(join(partial, simulatedMarkFile), { simulated: true });
  await writeJsonDurable(join(partial, trainingResultFile), { ...result, simulated: true });
  await renameDurable(partial, join(config.output, 'adapter'));
}

function weights(config: SimulatedConfig, state: string): Buffer {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt', simulated: 'true' } };
  const data: Buffer[] = [];
  let offset = 0;
  for (let layer = 0; layer < layers; layer += 1) {
    for (const module of config.lora.targetModules) {
      for (const [matrix, shape] of [
        ['lora_A', [config.lora.r, hiddenSize]],
        ['lora_B', [hiddenSize, config.lora.r]],
      ] as const) {
        const name = `base_model.model.model.layers.${layer}.self_attn.${module}.${matrix}.weight`;
        const values = floats(`${state} ${name}`, config.lora.r * hiddenSize);
        header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + values.length] };
        data.push(values);
        offset += values.length;
      }
    }
  }
  const json = Buffer.from(JSON.stringify(header));
  // The format wants the data to begin at a multiple of 8 bytes; spaces after the JSON are allowed.
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...data]);
}

/** `count` 32-bit floats between -0.01 and 0.01. */
function floats(seed: string, count: number): Buffer {
  const buffer = Buffer.alloc(count * 4);
  let block = Buffer.alloc(0);
  for (let index = 0; index < count; index += 1) {
    if (index % 8 === 0) block = createHash('sha256').update(`${seed} ${index}`).digest();
    buffer.writeFloatLE((block.readInt32LE((index % 8) * 4) / 2 ** 31) * 0.01, index * 4);
  }
  return buffer;
}
