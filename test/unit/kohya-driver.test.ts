import { chmod, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import { parse } from 'smol-toml';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { createKohyaDriver, createSimulatedKohyaDriver } from '../../src/kohya/driver.js';
import { readKohyaPlan } from '../../src/kohya/epochs.js';
import { recordedFollower } from '../../src/kohya/follower.js';
import type { KohyaInstallation } from '../../src/kohya/installation.js';
import { kohyaOptionNames } from '../../src/kohya/options.js';
import { choosePrecision } from '../../src/kohya/precision.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { KohyaBench } from '../support/kohya-bench.js';

let bench: KohyaBench;
let installation: KohyaInstallation;
beforeAll(async () => {
  bench = await KohyaBench.open();
  const root = join(bench.home, 'sd-scripts');
  await mkdir(root);
  await writeFile(join(root, 'train_network.py'), '');
  const owned = [
    'output_dir',
    'output_name',
    'save_model_as',
    'save_state',
    'logging_dir',
    'log_with',
    'sample_prompts',
  ];
  const capabilities = {
    version: '0.10.1',
    commit: null,
    python: '3.12.3',
    torch: '2.9.0',
    validation: true,
    tensorboard: true,
    bitsandbytes: false,
  };
  installation = { root, capabilities: { ...capabilities, options: new Set([...kohyaOptionNames, ...owned]) } };
});
afterAll(() => bench.close());

it('starts the script itself, unbuffered, and says the epoch on a resume', async () => {
  const run = await bench.run('real');
  const real = { ...run, installation, python: '/env/bin/python', precision: 'bf16' as const };
  const driver = await createKohyaDriver({ ...real, environment: { HF_HUB_OFFLINE: '1' } });
  const directory = bench.directory('real');
  const files = ['--config_file', join(directory, 'config.toml'), '--dataset_config', join(directory, 'dataset.toml')];
  expect(driver.command({ resumeFrom: undefined, memoryRung: 0 })).toMatchObject({
    argv: ['/env/bin/python', 'train_network.py', ...files, '--console_log_simple'],
    workingDirectory: installation.root,
    environment: { PYTHONUNBUFFERED: '1', OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' },
  });
  const state = join(directory, 'output', 'elara_lora-000012-state');
  const { argv } = driver.command({ resumeFrom: { path: state, step: 84 }, memoryRung: 1 });
  expect(argv.slice(-4)).toEqual(['--resume', state, '--initial_epoch', '13']);
  expect(argv).toContain(join(directory, 'config.rung-1.toml'));
  expect(driver).toMatchObject({ name: 'kohya', simulated: false, pauseBy: 'next-checkpoint' });
  expect(driver.memoryLadder).toEqual(['gradient checkpointing', 'U-Net only', 'base model in fp8']);
});

it('prepares the same files each time: configuration and data set of every rung, samples, plan', async () => {
  const run = await bench.run('files', { options: { training_comment: 'for Elara' } });
  const driver = await createKohyaDriver({ ...run, installation, python: 'python3', precision: 'no' });
  const contents = async () => {
    await driver.prepare();
    const names = (await readdir(run.runDirectory, { withFileTypes: true })).filter((entry) => entry.isFile());
    return Promise.all(names.map(async ({ name }) => [name, await readFile(join(run.runDirectory, name), 'utf8')]));
  };
  const first = await contents();
  expect(first.map(([name]) => name).sort()).toEqual([
    ...['config.rung-1.toml', 'config.rung-2.toml', 'config.toml', 'dataset-check.json'],
    ...['dataset.rung-1.toml', 'dataset.rung-2.toml', 'dataset.toml', 'kohya.json', 'sample-prompts.json'],
  ]);
  expect(await contents()).toEqual(first);
  const config = parse(await readFile(join(run.runDirectory, 'config.rung-2.toml'), 'utf8'));
  expect(config).toMatchObject({
    network_train_unet_only: true,
    output_dir: join(run.runDirectory, 'output-rung-2'),
    training_comment: 'for Elara; tower run files',
  });
  expect(await readKohyaPlan(run.runDirectory)).toMatchObject({
    images: 8,
    heldOut: { available: true, images: 1, of: 8 },
    sdScripts: { version: '0.10.1', python: '3.12.3', torch: '2.9.0' },
    rungs: [{ description: 'as configured' }, { description: 'gradient checkpointing' }, { description: 'U-Net only' }],
  });
});

it('a finished LoRA of an earlier launch is set aside, so that none is taken for that of the next', async () => {
  const run = await bench.run('leftover');
  const driver = await createKohyaDriver({ ...run, installation, python: 'python3', precision: 'no' });
  for (const output of ['output', 'output-rung-2']) {
    await mkdir(join(run.runDirectory, output));
    await writeFile(join(run.runDirectory, output, 'elara_lora.safetensors'), output);
    await writeFile(join(run.runDirectory, output, 'elara_lora-000001.safetensors'), output);
  }
  await driver.prepare();
  expect(await readdir(join(run.runDirectory, 'output'))).toEqual(['elara_lora-000001.safetensors']);
  expect(await readdir(join(run.runDirectory, 'output-rung-2'))).toEqual(['elara_lora-000001.safetensors']);
  expect(await readdir(join(run.runDirectory, 'broken'))).toHaveLength(2);
});

it('says how far apart its states are, also by the record: a pause waits for the next one', async () => {
  const run = await bench.run('seldom', { options: { max_train_epochs: 10, save_every_n_epochs: 5 } });
  const driver = createSimulatedKohyaDriver(run);
  await driver.prepare();
  expect(driver.stateInterval).toBe(0.5);
  expect((await recordedFollower(run))?.stateInterval).toBe(0.5);
});

it('a plan of an older Tower, which called the kind of the base model otherwise, is read all the same', async () => {
  const run = await bench.run('before');
  await createSimulatedKohyaDriver(run).prepare();
  const path = join(run.runDirectory, 'kohya.json');
  const plan = await readKohyaPlan(run.runDirectory);
  const { baseModelKind, ...others } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  expect(baseModelKind).toBe('sd');
  await writeFile(path, JSON.stringify({ ...others, baseModel: baseModelKind }));
  expect(await readKohyaPlan(run.runDirectory)).toEqual(plan);
});

it('an option that the installed version does not know is refused, because it would be without effect', async () => {
  const { capabilities } = installation;
  const options = new Set([...(capabilities.options ?? [])].filter((name) => name !== 'min_snr_gamma'));
  const older = { ...installation, capabilities: { ...capabilities, options } };
  const run = await bench.run('older');
  const driver = await createKohyaDriver({ ...run, installation: older, python: 'python3', precision: 'no' });
  await expect(driver.prepare()).rejects.toMatchObject({
    code: 'KOHYA_OPTION_UNSUPPORTED',
    message: 'The installed sd-scripts (0.10.1) does not know min_snr_gamma',
  });
});

/** As an older Tower wrote the plan. */
async function forgetDevice(directory: string): Promise<void> {
  const path = join(directory, 'kohya.json');
  const { device, ...plan } = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  expect(device).toMatch(/^(cuda|cpu)$/);
  await writeFile(path, JSON.stringify(plan));
}

it('a training that ran on a GPU is not resumed without', async () => {
  const run = await bench.run('gpu');
  const of = (precision: 'bf16' | 'no') => createKohyaDriver({ ...run, installation, python: 'python3', precision });
  // Nobody had found the GPU on which this one began.
  await (await of('no')).prepare();
  const { directory, spec, process, stdout } = runDirectory(run.runDirectory).launch(1);
  await mkdir(directory, { recursive: true });
  await writeFile(stdout, 'accelerator device: cuda\n  total optimization steps / 学習ステップ数: 28\n\nepoch 1/4\n');
  const common = { run: 'gpu', kind: 'kohya', workflowId: 'w' };
  const told = { ...common, generation: 0, lock: '/x', memoryRung: 0, resume: null };
  await writeFile(spec, JSON.stringify(told));
  const ended = { pid: 1, processGroup: 1, startTime: 1, trainerPid: 1, trainerStartTime: 1, commandSha256: null };
  const launchedAt = new Date().toISOString();
  const started = { ...common, version: 1, stateDirectory: '/x', bootId: 'b', ...ended, launchedAt };
  await writeFile(process, JSON.stringify(started));
  await (await of('no')).prepare();
  await forgetDevice(run.runDirectory);
  await (await of('no')).prepare();
  await (await of('bf16')).prepare();
  const lost = { code: 'GPU_LOST', retryable: true };
  await expect((await of('no')).prepare()).rejects.toMatchObject(lost);
  await (await of('bf16')).prepare();
  await forgetDevice(run.runDirectory);
  await expect((await of('no')).prepare()).rejects.toMatchObject(lost);
});

it('where Tower finds no GPU sd-scripts takes what it finds, which the log says; where there is to be none it finds none', async () => {
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line) => lines.push(line) });
  const run = await bench.run('unknown-device', { run: { log } });
  const of = async (hideGpus: boolean) => {
    const driver = await createKohyaDriver({ ...run, installation, python: 'python3', precision: 'no', hideGpus });
    await driver.prepare();
    const { environment } = driver.command({ resumeFrom: undefined, memoryRung: 0 });
    return { variables: Object.keys(environment), hidden: environment['CUDA_VISIBLE_DEVICES'], said: lines.splice(0) };
  };
  expect(await of(true)).toMatchObject({ hidden: '', said: [] });
  const { variables, said } = await of(false);
  expect(variables).not.toContain('CUDA_VISIBLE_DEVICES');
  expect(said).toHaveLength(1);
  expect(JSON.parse(said[0] ?? '')).toMatchObject({
    msg: 'nvidia-smi finds no GPU: sd-scripts takes what it finds itself, in full precision',
    next: expect.stringContaining('set `gpu.nvidiaSmi` to `none`') as string,
  });
});

it('W22: a name that is no safe file name is refused', async () => {
  const run = await bench.run('name', { run: { outputName: '../elara' } });
  expect(() => createSimulatedKohyaDriver(run)).toThrow(expect.objectContaining({ code: 'KOHYA_OUTPUT_NAME_INVALID' }));
});

it('W28: the precision is what the device is good at', async () => {
  const nvidiaSmi = join(bench.home, 'nvidia-smi');
  const of = async (answer: string) => {
    await writeFile(nvidiaSmi, `#!/bin/sh\n${answer}\n`);
    await chmod(nvidiaSmi, 0o755);
    return await choosePrecision({ kind: 'cuda', index: 0 }, nvidiaSmi);
  };
  expect(await of('echo 8.6')).toBe('bf16');
  expect(await of('echo 12.0')).toBe('bf16');
  expect(await of('echo 7.5')).toBe('fp16');
  expect(await of('exit 9')).toBe('fp16');
  await rm(nvidiaSmi);
  expect(await choosePrecision({ kind: 'cpu', index: 0 }, nvidiaSmi)).toBe('no');
});
