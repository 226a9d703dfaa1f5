import { chmod, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { ServiceError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { checkTrainingPlace } from '../../src/activities/character/check-training-place.js';
import { notEnlarging } from '../../src/activities/character/kohya-driver.js';
import { withStageBudget } from '../../src/activities/character/stage-budget.js';
import { readStageFaults } from '../../src/character/stage-faults.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { defaultGraph } from '../../src/comfyui/default-graph.js';
import { configSchema } from '../../src/config/schema.js';
import { describeError, TowerError } from '../../src/errors.js';
import { kohyaOptionNames, kohyaOptionsSchema } from '../../src/kohya/options.js';
import { characterFolders, type CharacterFolders } from '../support/character-run.js';

const log = pino({ level: 'silent' });
let folders: CharacterFolders;
beforeEach(async () => (folders = await characterFolders()));
afterEach(() => folders.remove());

const job = (fields: Readonly<Record<string, unknown>> = {}) =>
  parseCharacterJob({ name: 'Elara', description: '1girl', allowSimulated: true, ...fields });

function check(sections: Readonly<Record<string, unknown>>, fields: Readonly<Record<string, unknown>> = {}) {
  return checkTrainingPlace({ config: configSchema.parse(sections), log }, job(fields));
}

async function write(path: string, text = ''): Promise<string> {
  const target = join(folders.root, path);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, text);
  return target;
}

/** A safetensors file with tensors of these names, each of one byte. */
async function headerFile(name: string, tensors: readonly string[]): Promise<string> {
  const entries = tensors.map((tensor, at) => [tensor, { dtype: 'U8', shape: [1], data_offsets: [at, at + 1] }]);
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const path = await write(`${name}.safetensors`);
  await writeFile(path, Buffer.concat([length, header, Buffer.alloc(tensors.length)]));
  return path;
}

/** Scripts that know every option, with their Python. */
async function writeScripts(without: readonly string[] = []): Promise<Readonly<Record<string, string>>> {
  const own = ['initial_epoch', 'console_log_simple', 'dataset_config', 'resume', 'output_dir', 'output_name'];
  const more = ['save_model_as', 'save_state', 'logging_dir', 'log_with', 'sample_prompts'];
  const known = [...own, ...more, ...kohyaOptionNames].filter((name) => !without.includes(name));
  const source = known.map((name) => `parser.add_argument(\n    "--${name}",\n    type=str)\n`).join('');
  const script = await write('sd-scripts/train_network.py', source);
  await write('sd-scripts/library/train_util.py');
  return { sdScripts: dirname(script), python: await write('bare/bin/python') };
}

describe('what the training and the delivery need is looked for before the first image', () => {
  it('W16: the folder for LoRAs has to be there and to take a file, which does not stay', async () => {
    const into = (loraDirectory: string) => check({ comfyui: { loraDirectory, checkpointDirectory: folders.root } });
    await into(folders.loras);
    expect(await readdir(folders.loras)).toEqual([]);
    await expect(into(join(folders.root, 'none'))).rejects.toMatchObject({
      ...{ code: 'LORAS_FOLDER_MISSING', retryable: false },
      message: expect.stringContaining(join(folders.root, 'none')) as string,
    });
    await expect(into('/sys/kernel')).rejects.toMatchObject({
      ...{ code: 'NO_PERMISSION', retryable: false, message: expect.stringContaining('/sys/kernel') as string },
    });
    await expect(check({})).rejects.toMatchObject({ code: 'COMFYUI_NOT_CONFIGURED' });
  });

  it('sd-scripts and the base model have to be where the configuration says', async () => {
    const comfyui = { loraDirectory: folders.loras, checkpointDirectory: join(folders.root, 'checkpoints') };
    const none = { sdScripts: join(folders.root, 'none') };
    await expect(check({ comfyui, character: none })).rejects.toMatchObject({ code: 'SD_SCRIPTS_NOT_FOUND' });
    const character = await writeScripts();
    const missing = join(folders.root, 'checkpoints', 'dreamshaper_8.safetensors');
    await expect(check({ comfyui, character })).rejects.toMatchObject({
      ...{ code: 'BASE_MODEL_MISSING', retryable: false, message: expect.stringContaining(missing) as string },
    });
    await write('checkpoints/dreamshaper_8.safetensors');
    await check({ comfyui, character });
    const kohya = { pretrained_model_name_or_path: '/nowhere/model.safetensors' };
    await expect(check({ comfyui, character }, { kohya })).rejects.toMatchObject({ code: 'BASE_MODEL_MISSING' });
    // In a job that was sent without a command line; the scripts would take it for a name on the hub.
    for (const path of ['~/model', 'models/x.safetensors', '../x']) {
      const relative = { pretrained_model_name_or_path: path };
      await expect(check({ comfyui, character }, { kohya: relative })).rejects.toMatchObject({
        ...{ code: 'BASE_MODEL_MISSING', message: expect.stringContaining(path) as string },
      });
    }
    await check({ comfyui, character }, { kohya: { pretrained_model_name_or_path: 'runwayml/model' } });
    const vae = join(folders.root, 'none.vae');
    await expect(check({ comfyui, character }, { kohya: { vae } })).rejects.toMatchObject({
      ...{ code: 'BASE_MODEL_MISSING', message: expect.stringContaining('kohya.vae') as string },
    });
    // The kind of model decides the script.
    await expect(check({ comfyui, character }, { baseModelKind: 'flux' })).rejects.toMatchObject({
      code: 'SD_SCRIPTS_NOT_FOUND',
    });
  });

  it('a relative path means a model beside the scripts, also under kohya_ss, and is looked into', async () => {
    const comfyui = { loraDirectory: folders.loras, checkpointDirectory: join(folders.root, 'checkpoints') };
    await write('checkpoints/dreamshaper_8.safetensors');
    // `<kohya_ss>/sd-scripts`
    const character = { ...(await writeScripts()), sdScripts: folders.root };
    const place = { comfyui, character };
    const own = (name: string) => ({ kohya: { pretrained_model_name_or_path: name } });
    await copyFile(await headerFile('sd', ['cond_stage_model.x']), await write('sd-scripts/models/own.safetensors'));
    await check(place, own('models/own.safetensors'));
    await copyFile(await headerFile('flux', ['double_blocks.0.x']), await write('sd-scripts/models/flux.safetensors'));
    await expect(check(place, own('models/flux.safetensors'))).rejects.toMatchObject({
      code: 'BASE_MODEL_KIND_DIFFERS',
    });
    await write('beside.safetensors');
    await expect(check(place, own('./beside.safetensors'))).rejects.toMatchObject({ code: 'BASE_MODEL_MISSING' });
  });

  it('W20: what the installed scripts would pass over or stumble over after the images is refused at once', async () => {
    const comfyui = { loraDirectory: folders.loras, checkpointDirectory: join(folders.root, 'checkpoints') };
    await write('checkpoints/dreamshaper_8.safetensors');
    const place = { comfyui, character: await writeScripts(['scale_weight_norms']) };
    await check(place);
    const refused = async (kohya: object, code: string, named: string) => {
      await expect(check(place, { kohya }), named).rejects.toMatchObject({
        ...{ code, retryable: false, message: expect.stringContaining(named) as string },
      });
    };
    await refused({ scale_weight_norms: 1 }, 'KOHYA_OPTION_UNSUPPORTED', 'does not know scale_weight_norms');
    for (const optimizer_type of ['AdamW8bit', 'PagedAdamW', 'bitsandbytes.optim.AdEMAMix8bit']) {
      await refused({ optimizer_type }, 'BITSANDBYTES_MISSING', optimizer_type);
    }
    await check(place, { kohya: { optimizer_type: 'torchao.optim.AdamW8bit' } });
    await refused({ reg_data_dir: '/nowhere/regularisation' }, 'KOHYA_FOLDER_MISSING', 'kohya.reg_data_dir');
    await refused({ tokenizer_cache_dir: '/nowhere/else/tokenizers' }, 'KOHYA_FOLDER_MISSING', '/nowhere/else');
    await refused({ base_weights: ['/nowhere/x.safetensors'] }, 'BASE_MODEL_MISSING', 'kohya.base_weights');
    const present = await write('weights.safetensors');
    await check(place, {
      kohya: { reg_data_dir: folders.root, tokenizer_cache_dir: join(folders.root, 'new'), base_weights: [present] },
    });
  });

  it('a scorer has to be a program that can be started', async () => {
    const place = { comfyui: { loraDirectory: folders.loras, checkpointDirectory: folders.root } };
    const score = await write('score', '#!/bin/sh\n');
    for (const program of [score, join(folders.root, 'none'), folders.root, 'no-such-scorer']) {
      await expect(check(place, { choose: { scorer: [program] } }), program).rejects.toMatchObject({
        ...{ code: 'SCORER_NOT_FOUND', retryable: false, message: expect.stringContaining(program) as string },
      });
    }
    await chmod(score, 0o755);
    for (const scorer of [[score], ['sh', '-c', 'echo 1']]) await check(place, { choose: { scorer } });
  });

  it('a checkpoint that the graph does not load may be of any kind', async () => {
    const comfyui = { loraDirectory: folders.loras, checkpointDirectory: join(folders.root, 'checkpoints') };
    await copyFile(
      await headerFile('dreamshaper_8', ['cond_stage_model.x']),
      await write('checkpoints/dreamshaper_8.safetensors'),
    );
    const kohya = { pretrained_model_name_or_path: await headerFile('own', ['double_blocks.0.x']) };
    const fields = { baseModelKind: 'flux', kohya };
    await expect(check({ comfyui }, fields)).rejects.toMatchObject({ code: 'BASE_MODEL_KIND_DIFFERS' });
    const graph = structuredClone(defaultGraph) as Record<string, { inputs: Record<string, unknown> }>;
    for (const { inputs } of Object.values(graph)) {
      for (const name of Object.keys(inputs))
        if (inputs[name] === '%checkpoint%') inputs[name] = 'flux1-dev.safetensors';
    }
    await check({ comfyui }, { ...fields, graph: await write('own.json', JSON.stringify(graph)) });
  });
});

it('images of a given dataset are not trained larger than they are', () => {
  const options = kohyaOptionsSchema.parse({ pretrained_model_name_or_path: 'model', resolution: '768,768' });
  const trainedAt = (width: number, height: number) => notEnlarging(options, { width, height }).resolution;
  expect(trainedAt(512, 512)).toEqual([512, 512]);
  expect(trainedAt(500, 1024)).toEqual([448, 768]);
  expect(trainedAt(2048, 40)).toEqual([768, 64]);
  // sd-scripts refuses a resolution below its smallest bucket.
  const inBuckets = (more: object) =>
    notEnlarging({ ...options, enable_bucket: true, ...more }, { width: 192, height: 700 }).resolution;
  expect(inBuckets({})).toEqual([256, 640]);
  expect(inBuckets({ min_bucket_reso: 128 })).toEqual([192, 640]);
});

describe('W10: transient faults are tried again, as often as the job says', () => {
  const budget = (fields: { readonly owner?: string; readonly retries?: number } = {}) => ({
    ...{ runDirectory: folders.runs, stage: 'generate' as const, owner: 'w', retries: 2, log },
    ...fields,
  });
  const fault = (code: string, retryable = true) =>
    new TowerError(code, `${code} came`, { retryable, retryAfterMs: 10, next: 'Look.' });
  const attempt = (error: Error, fields = {}) =>
    withStageBudget(budget(fields), () => Promise.reject(error)).catch((thrown: unknown) => thrown);

  it('the last one is final, and says how many there were; another workflow has a budget of its own', async () => {
    const error = fault('COMFYUI_TIMEOUT');
    expect(await attempt(error)).toBe(error);
    expect(await attempt(error)).toBe(error);
    expect(await attempt(error)).toMatchObject({
      ...{ code: 'COMFYUI_TIMEOUT', retryable: false, next: 'Look.' },
      message: 'COMFYUI_TIMEOUT came (3 times; limits.generate.retries is 2)',
    });
    expect(await attempt(error, { owner: 'another' })).toBe(error);
    expect(await readStageFaults(folders.runs)).toHaveLength(4);
    expect(await withStageBudget(budget(), () => Promise.resolve('done'))).toBe('done');
  });

  it('waiting for room is recorded once and costs nothing; what would fail again is not tried again', async () => {
    for (const code of ['DISK_FULL', 'DISK_FULL', 'TENANT_BUSY', 'GPU_BUSY', 'DISK_FULL']) {
      expect(await attempt(fault(code))).toMatchObject({ code, retryable: true });
    }
    expect(await attempt(fault('GRAPH_UNUSABLE', false))).toMatchObject({ retryable: false });
    expect((await readStageFaults(folders.runs)).map(({ code }) => code)).toEqual(['DISK_FULL', 'TENANT_BUSY']);
    const error = fault('COMFYUI_TIMEOUT');
    expect([await attempt(error), await attempt(error)]).toEqual([error, error]);
  });

  it('errors that nobody has thought of are bounded too, with their words; the server’s absence and an end are none', async () => {
    const error = new TypeError('width of undefined');
    for (let time = 0; time < 2; time += 1) {
      expect(await attempt(error)).toMatchObject({ code: 'UNEXPECTED', retryable: true, cause: error });
    }
    const final = await attempt(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
    expect(final).toMatchObject({ code: 'UNEXPECTED', retryable: false });
    expect(describeError(final)).toContain('EIO: i/o error');
    const aborted = Object.assign(new Error('told to end'), { name: 'AbortError' });
    const paused = ApplicationFailure.retryable('paused', 'PAUSED');
    const away = new ServiceError('no server');
    for (const other of [aborted, paused, away]) expect(await attempt(other)).toBe(other);
    expect(await readStageFaults(folders.runs)).toHaveLength(3);
  });
});
