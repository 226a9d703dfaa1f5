import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { failureOf } from '../../src/cli/runs/workflow-failure.js';
import { exists } from '../../src/files/exists.js';
import { placeSimulatedCheckpoints } from '../../src/sims/comfyui/simulated-checkpoint.js';
import { readSafetensorsHeader } from '../../src/training/safetensors.js';
import { CharacterMachine } from '../support/character-machine.js';
import { writeLora } from '../support/simulated-comfyui.js';

/** Two images and one short epoch: what counts is which script makes which LoRA. */
const short = { count: 2, kohya: { max_train_epochs: 1, network_dim: 2, network_alpha: 1 } };
const sdxl = 'base_sdxl.safetensors';
const flux = 'flux1-dev-fp8.safetensors';

let machine: CharacterMachine;
let checkpoints: string;
/** What FLUX needs beside the checkpoint. */
let parts: Record<'clip_l' | 't5xxl' | 'ae', string>;

beforeAll(async () => {
  machine = await CharacterMachine.create({ comfyui: { renderMs: 10 } });
  checkpoints = join(machine.tower.home, 'comfyui', 'models', 'checkpoints');
  await placeSimulatedCheckpoints(checkpoints, [sdxl, flux]);
  const folder = join(machine.tower.home, 'text-encoders');
  await mkdir(folder);
  parts = { clip_l: join(folder, 'clip_l.pt'), t5xxl: join(folder, 't5xxl.pt'), ae: join(folder, 'ae.pt') };
  for (const path of Object.values(parts)) await writeFile(path, 'x');
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
});
afterAll(() => machine.close());

async function failureOfJob(job: Readonly<Record<string, unknown>>): Promise<{ code: string; message: string }> {
  try {
    await (await machine.start({ ...short, name: 'Nobody', ...job })).result();
  } catch (error) {
    if (error instanceof WorkflowFailedError) return failureOf(error.cause);
    throw error;
  }
  throw new Error('it has not failed');
}

it.each([
  {
    kind: 'sdxl',
    checkpoint: sdxl,
    more: () => ({}),
    network: 'networks.lora',
    version: 'sdxl_base_v1-0',
    keys: [/^lora_te1_/, /^lora_te2_/, /^lora_unet_input_blocks_/],
  },
  {
    kind: 'flux',
    checkpoint: flux,
    more: () => parts,
    network: 'networks.lora_flux',
    version: 'flux1',
    keys: [/^lora_te1_/, /^lora_unet_double_blocks_/],
  },
])('$kind: trained by its own script, delivered, and proven in ComfyUI', async (given) => {
  const { kind, checkpoint, network, version, keys } = given;
  const kohya = { ...short.kohya, ...given.more() };
  const handle = await machine.start({ ...short, name: `Elara ${kind}`, baseModelKind: kind, checkpoint, kohya });
  const { training, lora, proof } = await handle.result();
  expect(training?.executedSteps).toBe(training?.plannedSteps);
  if (lora?.outcome !== 'published') throw new Error('it was not published');
  const { metadata, tensors } = await readSafetensorsHeader(lora.file);
  expect(metadata).toMatchObject({
    ...{ ss_base_model_version: version, ss_sd_model_name: checkpoint, ss_network_module: network },
    ...{ ss_network_dim: '2', ss_network_alpha: '1', ss_output_name: `elara_${kind}_lora` },
  });
  for (const key of keys) expect(tensors.some(({ name }) => key.test(name))).toBe(true);
  for (const { name } of tensors) expect(keys.some((key) => key.test(name))).toBe(true);
  expect(proof?.changedShare).toBeGreaterThan(0);
});

it('models that do not fit each other are refused before anything is made', async () => {
  expect(await failureOfJob({ checkpoint: sdxl })).toMatchObject({
    code: 'BASE_MODEL_KIND_DIFFERS',
    message: expect.stringMatching(
      /base_sdxl\.safetensors, is of SDXL; the job trains for Stable Diffusion 1/,
    ) as string,
  });
  // It would learn on the one, and be proven, and used, with the other.
  const kohya = { ...short.kohya, pretrained_model_name_or_path: join(checkpoints, sdxl) };
  expect(await failureOfJob({ baseModelKind: 'sdxl', kohya })).toMatchObject({
    code: 'BASE_MODEL_KIND_DIFFERS',
    message: expect.stringContaining('the checkpoint that renders') as string,
  });
  // To go on from.
  const earlier = join(machine.tower.home, 'earlier.safetensors');
  await writeLora(earlier, 1, { ss_base_model_version: 'sdxl_base_v1-0' });
  expect(await failureOfJob({ kohya: { ...short.kohya, network_weights: earlier } })).toMatchObject({
    code: 'BASE_MODEL_KIND_DIFFERS',
    message: expect.stringContaining('kohya.network_weights') as string,
  });
  const options = await failureOfJob({ baseModelKind: 'flux', checkpoint: flux });
  expect(options.code).toBe('KOHYA_OPTIONS_INVALID');
  for (const name of Object.keys(parts)) expect(options.message).toContain(`${name}: FLUX needs`);
  expect(await exists(join(machine.tower.paths.runs, 'character_nobody_v1'))).toBe(false);
});
