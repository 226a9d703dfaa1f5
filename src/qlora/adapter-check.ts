import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { describeError, TowerError } from '../errors.js';
import { readJsonIfExists } from '../files/read-json.js';
import { sha256OfFile } from '../files/sha256.js';
import { readSafetensorsHeader, readTensorContents } from '../training/safetensors.js';
import type { ArtefactCheck } from '../training/trainer-driver.js';
import { adapterConfigFile, adapterWeightsFile, simulatedMarkFile } from './run-files.js';

const adapterConfigSchema = z.looseObject({
  peft_type: z.literal('LORA'),
  base_model_name_or_path: z.string().min(1),
  r: z.int().positive(),
});

export interface AdapterExpectation {
  readonly simulated: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Proves that a folder holds a trained LoRA adapter: its configuration parses, every `lora_A` has its `lora_B`, no number is NaN
 * or infinite and `lora_B`, which starts at zero, is not all zero. Constant memory. `path` of the answer is the folder;
 * `sha256` and `bytes` are those of the weights file.
 */
export async function checkAdapter(folder: string, expectation: AdapterExpectation): Promise<ArtefactCheck> {
  if (!existsSync(folder)) return { valid: false, reason: `there is no ${folder}` };
  if (existsSync(join(folder, simulatedMarkFile)) !== expectation.simulated) {
    return {
      valid: false,
      reason: expectation.simulated
        ? `${folder} lacks ${simulatedMarkFile}: it is not of the simulated trainer`
        : `${folder} was made by the simulated trainer`,
    };
  }
  const weights = join(folder, adapterWeightsFile);
  try {
    const config = await readJsonIfExists(join(folder, adapterConfigFile), adapterConfigSchema);
    if (config === undefined) return { valid: false, reason: `${folder} has no ${adapterConfigFile}` };
    const fault = await weightsFault(weights, expectation.signal);
    if (fault !== undefined) return { valid: false, reason: `${weights}: ${fault}` };
    const { size: bytes } = await stat(weights);
    return { valid: true, path: folder, sha256: await sha256OfFile(weights, expectation.signal), bytes };
  } catch (error) {
    const damaged = error instanceof TowerError || (error as NodeJS.ErrnoException).code === 'ENOENT';
    if (!damaged) throw error;
    return { valid: false, reason: describeError(error) };
  }
}

async function weightsFault(path: string, signal?: AbortSignal): Promise<string | undefined> {
  const { tensors } = await readSafetensorsHeader(path);
  const names = new Set(tensors.map(({ name }) => name));
  const lora = tensors.filter(({ name }) => /\.lora_[AB]\./.test(name));
  const second = lora.filter(({ name }) => name.includes('.lora_B.'));
  if (second.length === 0) return 'it has no lora_B tensor';
  for (const { name } of lora) {
    const other = name.includes('.lora_A.')
      ? name.replace('.lora_A.', '.lora_B.')
      : name.replace('.lora_B.', '.lora_A.');
    if (!names.has(other)) return `${name} is there, ${other} is not`;
  }
  const contents = await readTensorContents(path, lora, signal);
  for (const [name, { finite }] of contents) if (!finite) return `${name} holds NaN or infinite numbers`;
  const trained = second.some(({ name }) => contents.get(name)?.allZero === false);
  return trained ? undefined : 'every lora_B tensor is zero: nothing was learnt';
}
