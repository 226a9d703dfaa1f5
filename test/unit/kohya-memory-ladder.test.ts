import { expect, it } from 'vitest';

import { resolveOptions, type BaseModelKind } from '../../src/kohya/base-model.js';
import {
  memoryLadder,
  optionsOfRung,
  outputFolderOfRung,
  type LadderConditions,
} from '../../src/kohya/memory-ladder.js';
import { parseKohyaOptions, type KohyaOptionsInput } from '../../src/kohya/options.js';

function ladderOf(
  kind: BaseModelKind,
  options: Partial<KohyaOptionsInput>,
  conditions: Partial<LadderConditions> = {},
) {
  const parsed = parseKohyaOptions({ pretrained_model_name_or_path: '/m.safetensors', ...options });
  const resolved = resolveOptions(kind, parsed, 'bf16');
  const ladder = memoryLadder(resolved, { baseModelKind: kind, has8bitOptimisers: true, oneSize: true, ...conditions });
  return { resolved, ladder, names: ladder.map(({ description }) => description) };
}

it('walks from what changes nothing to what changes the result', () => {
  const { ladder, resolved, names } = ladderOf('sdxl', { train_batch_size: 4, gradient_accumulation_steps: 2 });
  expect(names).toEqual([
    'gradient checkpointing',
    'batch 1 with accumulation 8',
    '8-bit optimiser AdamW8bit',
    'U-Net only, cached text encoder outputs',
    'base model in fp8',
    'resolution 576×576',
  ]);
  expect(optionsOfRung(resolved, ladder, 2)).toMatchObject({
    gradient_checkpointing: true,
    train_batch_size: 1,
    gradient_accumulation_steps: 8,
    optimizer_type: 'AdamW',
  });
  expect(optionsOfRung(resolved, ladder, 6)).toMatchObject({
    network_train_unet_only: true,
    cache_text_encoder_outputs: true,
    shuffle_caption: false,
    fp8_base: true,
    resolution: [576, 576],
  });
  expect(optionsOfRung(resolved, ladder, 0)).toEqual(resolved);
});

it('rungs share a folder as long as their states fit', () => {
  const { ladder } = ladderOf('sd', {});
  const folders = [0, 1, 2, 3, 4].map((rung) => outputFolderOfRung(ladder, rung));
  expect(folders).toEqual(['output', 'output', 'output-rung-2', 'output-rung-3', 'output-rung-3']);
});

it('leaves out what would change nothing, what is not installed, and what would change the number of steps', () => {
  expect(
    ladderOf('sd', { gradient_checkpointing: true, network_train_unet_only: true, resolution: 448 }).names,
  ).toEqual(['8-bit optimiser AdamW8bit', 'base model in fp8']);
  expect(ladderOf('sd', { optimizer_type: 'Prodigy' }).names).not.toContain('8-bit optimiser AdamW8bit');
  expect(ladderOf('sd', {}, { has8bitOptimisers: false }).names).not.toContain('8-bit optimiser AdamW8bit');
  const mixed = ladderOf('sd', { enable_bucket: true, train_batch_size: 4 }, { oneSize: false });
  expect(mixed.names.filter((name) => /batch|resolution/.test(name))).toEqual([]);
  expect(ladderOf('sd', { enable_bucket: true, train_batch_size: 4 }).names).toContain('batch 1 with accumulation 4');
});
