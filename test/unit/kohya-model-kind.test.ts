import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { kindOfFile, kindOfHeader } from '../../src/kohya/model-kind.js';

describe('the kind of a model', () => {
  const version = (ss_base_model_version: string) => ({ ss_base_model_version });
  it.each([
    ['SD 1.5', {}, ['cond_stage_model.transformer.x', 'model.diffusion_model.input_blocks.0.x'], 'sd'],
    ['SDXL', {}, ['conditioner.embedders.0.x', 'model.diffusion_model.input_blocks.0.x'], 'sdxl'],
    ['FLUX, raw', {}, ['double_blocks.0.img_attn.x'], 'flux'],
    ['FLUX, all in one', {}, ['model.diffusion_model.double_blocks.0.x', 'text_encoders.clip_l.x'], 'flux'],
    ['LoRA of SD 1.5', {}, ['lora_te_text_model_x', 'lora_unet_down_blocks_0_x'], 'sd'],
    ['LoRA of SDXL', {}, ['lora_te1_text_model_x', 'lora_te2_text_model_x', 'lora_unet_input_blocks_4_x'], 'sdxl'],
    ['LoRA of FLUX with a text encoder', {}, ['lora_te1_text_model_x', 'lora_unet_double_blocks_0_x'], 'flux'],
    ['LoRA of FLUX, single blocks alone', {}, ['lora_te1_text_model_x', 'lora_unet_single_blocks_0_x'], 'flux'],
    ['LoRA of FLUX, its text encoder alone', version('flux1'), ['lora_te1_text_model_x'], 'flux'],
    ['LoRA of SD 1', version('sd_v1'), ['lora_unet_x'], 'sd'],
    ['LoRA of SD 2 with v-prediction', version('sd_v2_v'), ['lora_unet_x'], 'sd'],
    ['LoRA of SDXL by its metadata', version('sdxl_base_v1-0'), ['lora_unet_x'], 'sdxl'],
    ['something else', version('lumina'), ['lora_unet_x'], undefined],
    ['nothing', {}, [], undefined],
  ])('%s', (_, metadata, names, kind) => {
    expect(kindOfHeader({ metadata, names })).toBe(kind);
  });
});

describe('what cannot be read is of no kind, and holds nobody up', () => {
  let folder: string;
  beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'tower-model-kind-'))));
  afterAll(() => rm(folder, { recursive: true }));

  it.each([
    ['a folder', (path: string) => mkdir(path)],
    ['a damaged file', (path: string) => writeFile(path, 'x'.repeat(100))],
    ['a link to itself', (path: string) => symlink(path, path)],
    ['a name too long', () => Promise.resolve(), 'x'.repeat(300)],
    ['a file below a file', (path: string) => writeFile(path.replace(/\/[^/]+$/, ''), ''), 'file/model'],
    ['nothing', () => Promise.resolve()],
  ])('%s', async (name, make, file = name) => {
    const path = join(folder, `${file}.safetensors`);
    await make(path);
    await expect(kindOfFile(path)).resolves.toBeUndefined();
  });

  it('a pipe nobody writes to', async () => {
    const path = join(folder, 'pipe.safetensors');
    execFileSync('mkfifo', [path]);
    await expect(kindOfFile(path)).resolves.toBeUndefined();
  });
});
