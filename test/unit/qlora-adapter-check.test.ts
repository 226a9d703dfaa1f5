import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { sha256Of } from '../../src/files/sha256.js';
import { checkAdapter } from '../../src/qlora/adapter-check.js';

const prefix = 'base_model.model.model.layers.0.self_attn.q_proj';
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  await writeConfig({ peft_type: 'LORA', base_model_name_or_path: 'org/model', r: 2 });
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function writeConfig(config: unknown): Promise<void> {
  await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(config));
}

async function writeWeights(tensors: Readonly<Record<string, readonly number[]>>): Promise<Buffer> {
  const header: Record<string, unknown> = {};
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, values] of Object.entries(tensors)) {
    const bytes = Buffer.from(Float32Array.from(values).buffer);
    header[`${prefix}.${name}.weight`] = {
      dtype: 'F32',
      shape: [values.length],
      data_offsets: [offset, offset + bytes.length],
    };
    offset += bytes.length;
    data.push(bytes);
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const content = Buffer.concat([length, json, ...data]);
  await writeFile(join(folder, 'adapter_model.safetensors'), content);
  return content;
}

const real = { simulated: false };

test('a trained adapter is valid, with hash and size of its weights', async () => {
  const content = await writeWeights({ lora_A: [1, 2], lora_B: [0, 0.5] });
  expect(await checkAdapter(folder, real)).toEqual({
    valid: true,
    path: folder,
    sha256: sha256Of(content),
    bytes: content.length,
  });
});

test.each([
  [{ lora_A: [1, 2], lora_B: [0, 0] }, 'every lora_B tensor is zero'],
  [{ lora_A: [Number.NaN, 2], lora_B: [0, 1] }, 'NaN or infinite'],
  [{ lora_A: [1, 2] }, 'no lora_B tensor'],
  [{ lora_B: [1, 2] }, 'q_proj.lora_A.weight is not'],
])('%j is refused: %s', async (tensors, reason) => {
  await writeWeights(tensors);
  expect(await checkAdapter(folder, real)).toMatchObject({
    valid: false,
    reason: expect.stringContaining(reason) as string,
  });
});

test('a cut file, a missing file and a foreign configuration are refused with their reason', async () => {
  expect(await checkAdapter(folder, real)).toMatchObject({ reason: expect.stringContaining('ENOENT') as string });
  const content = await writeWeights({ lora_A: [1, 2], lora_B: [0, 0.5] });
  await writeFile(join(folder, 'adapter_model.safetensors'), content.subarray(0, -1));
  expect(await checkAdapter(folder, real)).toMatchObject({ reason: expect.stringContaining('safetensors') as string });
  await writeConfig({ peft_type: 'IA3' });
  expect(await checkAdapter(folder, real)).toMatchObject({
    reason: expect.stringContaining('adapter_config.json') as string,
  });
  expect(await checkAdapter(join(folder, 'nowhere'), real)).toMatchObject({ valid: false });
});

test('simulated and real adapters are never taken for each other', async () => {
  await writeWeights({ lora_A: [1, 2], lora_B: [0, 0.5] });
  expect(await checkAdapter(folder, { simulated: true })).toMatchObject({ valid: false });
  await writeFile(join(folder, 'simulated.json'), '{"simulated":true}');
  expect(await checkAdapter(folder, { simulated: true })).toMatchObject({ valid: true });
  expect(await checkAdapter(folder, real)).toMatchObject({ valid: false });
});
