import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { execa } from 'execa';
import sharp from 'sharp';
import { parse, stringify } from 'smol-toml';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { createSimulatedKohyaDriver } from '../../src/kohya/driver.js';
import type { SdScriptsSimulation } from '../../src/sims/sd-scripts/simulation.js';
import { KohyaBench } from '../support/kohya-bench.js';

let bench: KohyaBench;
let directory: string;
let command: readonly string[];
let environment: Readonly<Record<string, string>>;

/** The input files of a run, and how its driver starts the stand-in. */
beforeEach(async () => {
  bench = await KohyaBench.open();
  const simulation: SdScriptsSimulation = { secondsPerStep: 0.001 };
  const driver = createSimulatedKohyaDriver({ ...(await bench.run('run')), simulation });
  await driver.prepare();
  directory = bench.directory('run');
  const { argv, environment: variables } = driver.command({ resumeFrom: undefined, memoryRung: 0 });
  command = argv;
  environment = variables;
});
afterEach(() => bench.close());

function start(more: readonly string[] = [], env: Readonly<Record<string, string>> = environment) {
  const [file = '', ...words] = command;
  return execa(file, [...words, ...more], { env, reject: false, extendEnv: false });
}

async function change(name: string, values: Readonly<Record<string, unknown>>): Promise<void> {
  const path = join(directory, name);
  await writeFile(path, stringify({ ...parse(await readFile(path, 'utf8')), ...values }));
}

it('writes the files of sd-scripts, in its order and with its names and rights', async () => {
  const { exitCode, stdout, stderr } = await start();
  expect(exitCode).toBe(0);
  const output = join(directory, 'output');
  expect((await readdir(output)).sort()).toEqual([
    'elara_lora-000001.safetensors',
    'elara_lora-000002-state',
    'elara_lora-000002.safetensors',
    'elara_lora-000003-state',
    'elara_lora-000003.safetensors',
    'elara_lora-state',
    'elara_lora.safetensors',
    'sample',
  ]);
  expect((await readdir(join(output, 'elara_lora-000003-state'))).sort()).toEqual([
    'model.safetensors',
    'optimizer.bin',
    'random_states_0.pkl',
    'scheduler.bin',
    'train_state.json',
  ]);
  const samples = (await readdir(join(output, 'sample'))).sort();
  expect(samples[3]).toMatch(/^elara_lora_e000004_00_\d{14}_42\.png$/);
  expect(await sharp(join(output, 'sample', samples[3] ?? '')).metadata()).toMatchObject({ width: 64, height: 64 });
  // Another user, such as that of ComfyUI, cannot read it.
  expect((await stat(join(output, 'elara_lora.safetensors'))).mode & 0o777).toBe(0o600);
  expect(stdout).toMatch(
    /\nepoch 4\/4\n[^]*saving last state\.[^]*saving checkpoint: \S+elara_lora\.safetensors\n[^]*model saved\.$/,
  );
  expect(stderr).toContain('\rsteps: 100%|██████████| 28/28 [');
  expect(stderr).toContain('\n\repoch validation steps: 100%|██████████| 4/4 [');
});

describe('ends like sd-scripts', () => {
  it.each([
    ['an option that it does not know', ['--no_such_option', '1'], 2, 'unrecognized arguments: --no_such_option'],
    ['a configuration that is no TOML', ['--config_file', '/nowhere/x.json'], 1, 'x.json.toml'],
    ['nothing left to train', ['--initial_epoch', '5'], 1, 'AssertionError: max_train_steps should be greater'],
    ['a state that is not there', ['--resume', '/nowhere/state'], 1, 'FileNotFoundError'],
  ])('%s', async (_name, words, code, message) => {
    const { exitCode, stderr } = await start(words);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: code, stderr: expect.stringContaining(message) as string });
  });

  it('no images: exit code 0, and no LoRA', async () => {
    const empty = join(directory, 'empty');
    await mkdir(empty);
    await change('dataset.toml', { datasets: [{ subsets: [{ image_dir: empty }] }] });
    const { exitCode, stdout } = await start();
    expect(exitCode).toBe(0);
    expect(stdout).toContain('No data found. Please verify arguments');
    expect(existsSync(join(directory, 'output'))).toBe(false);
  });

  it.each([
    ['an empty caption', 'elara_002.txt', 'AssertionError: caption file is empty'],
    ['a broken image, without its name', 'elara_002.png', 'ZeroDivisionError: division by zero'],
  ])('%s', async (_name, file, message) => {
    await writeFile(join(bench.home, 'images', file), '');
    const { exitCode, stderr } = await start();
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(message) as string });
  });

  it('an unknown key of the data set; one of the configuration it passes over', async () => {
    await change('config.toml', { netowrk_dim: 8 });
    expect((await start()).exitCode).toBe(0);
    await change('dataset.toml', { general: { shufle_caption: true } });
    const { exitCode, stderr } = await start();
    expect(exitCode).toBe(1);
    expect(stderr).toContain("extra keys not allowed @ data['shufle_caption']");
  });

  it('a base model that is not there', async () => {
    await change('config.toml', { pretrained_model_name_or_path: '/nowhere/base.safetensors' });
    const { exitCode, stderr } = await start();
    expect(exitCode).toBe(1);
    expect(stderr).toContain('"/nowhere/base.safetensors" is neither a valid local path nor a valid repo id');
  });

  it('a scheduler without warm-up that is given one', async () => {
    await change('config.toml', { lr_scheduler: 'constant', lr_warmup_steps: 100 });
    expect((await start()).stderr).toContain('ValueError: constant does not require `num_warmup_steps`');
  });
});

it('has the flaws of a resume: its counter begins anew, and a chained one at a wrong epoch unless it is told', async () => {
  await start();
  const state = (epoch: number) => join(directory, 'output', `elara_lora-00000${epoch}-state`);
  const resumed = await start(['--resume', state(2), '--initial_epoch', '3']);
  // Two epochs of seven steps were left; the bar counts them from 0, of all.
  expect(resumed.stdout).not.toContain('epoch 2/4');
  expect(resumed.stderr).toContain('| 14/28 [');
  expect(resumed.stderr).not.toContain('| 15/28 [');
  expect(JSON.parse(await readFile(join(state(3), 'train_state.json'), 'utf8'))).toEqual({
    current_epoch: 3,
    current_step: 7,
  });
  const plain = await start(['--resume', state(3)]);
  expect(plain.stdout).toContain('epoch 2/4');
  const told = await start(['--resume', state(3), '--initial_epoch', '4']);
  expect(told.stdout).toMatch(/running training[^]*epoch 4\/4/);
  expect(told.stdout).not.toContain('epoch 3/4');
});

it('hands its lines out at its end when nobody asks for unbuffered output', async () => {
  const fault = { PYTHONUNBUFFERED: '', TOWER_SIMULATED_SD_SCRIPTS_FAULT: '{"kind":"killed","atStep":20}' };
  const { stdout, stderr, signal } = await start([], { ...environment, ...fault });
  expect({ stdout, signal }).toEqual({ stdout: '', signal: 'SIGKILL' });
  expect(stderr).toContain('| 19/28 [');
});
