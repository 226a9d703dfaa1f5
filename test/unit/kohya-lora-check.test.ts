import { mkdtemp, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { checkLora, type LoraExpectation } from '../../src/kohya/lora-check.js';
import { modulesOf, writeLora, type Weights } from '../../src/sims/sd-scripts/network.js';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
});
afterAll(() => rm(home, { recursive: true }));

const ordered: LoraExpectation = {
  baseModelKind: 'sd',
  options: { network_dim: 4, network_alpha: 2 },
  simulated: true,
  comment: 'tower run x',
  modules: { textEncoder: 2, unet: 3 },
};
const args = { network_dim: 4, network_alpha: 2, network_module: 'networks.lora', training_comment: 'tower run x' };

let files = 0;
async function loraOf(
  more: Record<string, unknown> = {},
  weights: Partial<Weights> = {},
  script = 'train_network.py',
): Promise<string> {
  const path = join(home, `${++files}.safetensors`);
  const all = { ...args, ...more };
  await writeLora(path, modulesOf(script, all), { chain: 'c', ...weights }, { script, args: all, metadata: {} });
  return path;
}

it('a LoRA as it was ordered is valid, and told with size and hash', async () => {
  const path = await loraOf();
  const { size } = await stat(path);
  const valid = { valid: true, path, bytes: size, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string };
  expect(await checkLora(path, ordered)).toEqual(valid);
  expect(await checkLora(await loraOf({ save_precision: 'float' }), ordered)).toMatchObject({ valid: true });
});

it.each([
  ['nothing learnt', () => loraOf({}, { fault: 'zero' }), 'every lora_up is zero'],
  ['numbers that are none', () => loraOf({}, { fault: 'nan' }), 'holds NaN or infinite numbers'],
  ['another rank', () => loraOf({ network_dim: 8 }), 'has rank 8, ordered were 4'],
  ['another alpha', () => loraOf({ network_alpha: 16 }), 'has alpha 16, ordered were 2'],
  ['another run', () => loraOf({ training_comment: 'tower run y' }), 'it is of another run'],
  ['no text encoder', () => loraOf({ network_train_unet_only: true }), 'it has no module of the text encoder'],
  ['no U-Net', () => loraOf({ network_train_text_encoder_only: true }), 'it has no module of the U-Net'],
  [
    'another base model',
    () => loraOf({}, {}, 'sdxl_train_network.py'),
    'it is a LoRA for SDXL, ordered was one for Stable Diffusion 1.x',
  ],
  ['no file', () => Promise.resolve('/nowhere/a.safetensors'), 'there is no /nowhere/a.safetensors'],
])('%s is refused', async (_name, make, reason) => {
  expect(await checkLora(await make(), ordered)).toEqual({
    valid: false,
    reason: expect.stringContaining(reason) as string,
  });
});

it('a file that was cut is refused', async () => {
  const cut = await loraOf();
  await truncate(cut, (await stat(cut)).size - 10);
  expect(await checkLora(cut, ordered)).toMatchObject({ valid: false });
});

it('what was made by simulation is never taken for real, nor the other way round', async () => {
  const real = { ...ordered, simulated: false };
  expect(await checkLora(await loraOf(), real)).toMatchObject({
    reason: expect.stringContaining('made by the simulated trainer') as string,
  });
  // Not even where no metadata was wanted.
  const bare = { ...real, options: { ...real.options, no_metadata: true } };
  expect(await checkLora(await loraOf({ no_metadata: true }), bare)).toMatchObject({ valid: false });
  expect(await checkLora(await loraOf({ no_metadata: true }), { ...bare, simulated: true })).toMatchObject({
    valid: true,
  });
});

it('an order for a part of the network gets that part, and network arguments may change ranks', async () => {
  const unetOnly = { ...ordered, options: { ...ordered.options, network_train_unet_only: true }, modules: undefined };
  expect(await checkLora(await loraOf({ network_train_unet_only: true }), unetOnly)).toMatchObject({ valid: true });
  const withArguments = { ...ordered, options: { ...ordered.options, network_args: ['block_dims=8'] } };
  expect(await checkLora(await loraOf({ network_dim: 8 }), withArguments)).toMatchObject({ valid: true });
});
