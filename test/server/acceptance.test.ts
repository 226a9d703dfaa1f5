import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { leftBehindProof, readLeftBehind } from '../../src/cli/acceptance/left-behind.js';
import { createComfyuiClient } from '../../src/comfyui/client.js';
import { loadConfig } from '../../src/config/load-config.js';
import { statePaths } from '../../src/config/state-paths.js';
import { exists } from '../../src/files/exists.js';
import { packageRoot } from '../../src/files/package-root.js';
import { endGroup } from '../../src/gpu/end-group.js';
import { holdLock } from '../../src/gpu/kernel-lock.js';
import { startLaunch } from '../../src/training/start-launch.js';
import { log, python, TrainingBench } from '../faults/fixtures/training-bench.js';
import { ComfyuiProcess } from '../support/comfyui-process.js';
import { textToImage } from '../support/simulated-comfyui.js';
import { testTemporalCli } from '../support/temporal-cli.js';
import { waitUntil } from '../support/wait-until.js';

const program = join(packageRoot, 'dist', 'cli', 'acceptance', 'main.js');
const standIn = join(packageRoot, 'dist', 'sims', 'sd-scripts');

let folder: string;
let comfyui: ComfyuiProcess;
let directory: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  directory = join(folder, 'comfyui');
  // Of a machine without a GPU that has the command all the same.
  await mkdir(join(folder, 'bin'));
  await writeFile(join(folder, 'bin', 'nvidia-smi'), '#!/bin/sh\nexit 9\n', { mode: 0o755 });
  comfyui = await ComfyuiProcess.start(directory, { renderMs: 10 });
});
afterAll(async () => {
  await comfyui.close();
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

async function acceptance(...args: string[]) {
  const { path } = await testTemporalCli();
  const programs = `${join(folder, 'bin')}:${process.env['PATH']}`;
  const env = { TOWER_TEMPORAL_CLI: path, NO_COLOR: '1', PATH: programs };
  const words = [program, '--nvidia-smi', 'none', ...args];
  const { exitCode, stdout, stderr } = await execa(process.execPath, words, { env, reject: false });
  return { exitCode, stdout, stderr };
}

function tableRows(stdout: string) {
  return stdout.split('\n').flatMap((line) => {
    const [, holds, what, by] = /^(yes|NO) +(.+?) {2,}(.+)$/.exec(line) ?? [];
    return what === undefined ? [] : [{ holds, what, by }];
  });
}

it('proves the whole way with the simulated programs, says that they are, and fails for that', async () => {
  const home = join(folder, 'home');
  const programs = ['--comfyui', comfyui.address, '--comfyui-directory', directory, '--sd-scripts', standIn];
  const { exitCode, stdout } = await acceptance(...programs, '--home', home);
  const rows = tableRows(stdout);
  expect(rows.filter(({ holds }) => holds === 'NO').map(({ what, by }) => [what, by])).toEqual([
    ['A real ComfyUI rendered', expect.stringContaining('SIMULATED')],
    ['A real sd-scripts trained', expect.stringContaining('SIMULATED')],
    ['Nothing was simulated', 'the run ended as simulated'],
  ]);
  expect(rows.filter(({ holds }) => holds === 'yes').map(({ what }) => what)).toEqual([
    'The run came to its end',
    'Every image was rendered, fetched and decoded',
    'Every image has a caption of its own',
    'The dataset tells what it is',
    'sd-scripts trained every planned step once',
    'The epoch was chosen for a reason',
    'The LoRA is whole and readable for all',
    'It was really trained',
    'ComfyUI lists it and reads its metadata',
    'The LoRA changes the picture at the same seed',
    'A sidecar tells where it comes from',
    'Nothing is left behind',
  ]);
  expect(rows.at(-1)?.by).toBe("0 in ComfyUI's queue; no trainer lives, no GPU is held");
  expect(stdout).toContain('\nFaults on the way: none on record\n');
  expect(stdout).toContain(`everything lies in ${home}`);
  expect(await exists(join(directory, 'models', 'loras', 'acceptance_lora-simulated-v1.safetensors'))).toBe(true);
  // Not all was proven.
  expect(exitCode).toBe(1);
});

it('of a run that fails it tells how far it came, and why it came no further', async () => {
  const programs = ['--comfyui', comfyui.address, '--comfyui-directory', directory, '--sd-scripts', standIn];
  const failing = ['--with', 'choose.scorer=["sh", "-c", "exit 3"]'];
  const { exitCode, stdout, stderr } = await acceptance(...programs, ...failing, '--home', join(folder, 'failed'));
  const rows = new Map(tableRows(stdout).map(({ what, holds, by = '' }) => [what, `${holds}: ${by}`]));
  expect(rows.get('The run came to its end')).toMatch(/^NO: SCORER_FAILED: /);
  expect(rows.get('Every image was rendered, fetched and decoded')).toMatch(/^yes: 4 of 4 files/);
  expect(rows.get('Every image has a caption of its own')).toMatch(/^yes: /);
  expect(rows.get('sd-scripts trained every planned step once')).toMatch(/^yes: /);
  expect(rows.get('The epoch was chosen for a reason')).toBe('NO: none was chosen');
  expect(rows.get('The LoRA is in ComfyUI')).toBe('NO: nothing was published');
  expect(rows.get('Nothing is left behind')).toMatch(/^yes: /);
  expect(stderr).toContain('[SCORER_FAILED]');
  expect(exitCode).toBe(1);
});

describe('what a run leaves behind is found, and the row says NO', () => {
  let bench: TrainingBench;
  let context: Parameters<typeof readLeftBehind>[0];

  beforeEach(async () => {
    bench = await TrainingBench.open();
    const settings = [`gpu.lockDirectory=${bench.home}`];
    const { config } = await loadConfig({ env: { TOWER_HOME: bench.home }, settings });
    context = { config, paths: statePaths(bench.home) };
  });
  afterEach(() => bench.close());

  const row = async () => {
    const client = createComfyuiClient({ baseUrl: comfyui.address, log });
    return leftBehindProof(await readLeftBehind(context, client));
  };
  const nothing = {
    what: 'Nothing is left behind',
    by: "0 in ComfyUI's queue; no trainer lives, no GPU is held",
    holds: true,
  };

  it('a trainer that lives, and the GPU that it holds', async () => {
    expect(await row()).toEqual(nothing);
    const request = await bench.request('one', { steps: 1_000, stepMs: 1_000 });
    const { launch } = await startLaunch(request, { signal: new AbortController().signal, log });
    const { holds, by } = await row();
    expect(holds).toBe(false);
    expect(by).toContain(`the trainer of one lives (pid ${launch.process.trainerPid})`);
    expect(by).toContain('CPU: held by run one');
    await endGroup(launch.process, 0);
    expect(await row()).toEqual(nothing);
  });

  it('a GPU that this Tower holds without a trainer, but not one that another Tower holds', async () => {
    const lock = { lock: bench.lockPath, run: 'render-1', kind: 'render', workflowId: 'w' };
    const held = await holdLock({ ...lock, stateDirectory: bench.home }, { python });
    expect(await row()).toMatchObject({ holds: false, by: expect.stringContaining('held by run render-1') as string });
    await held.release();
    const anothers = await holdLock({ ...lock, stateDirectory: folder }, { python });
    expect(await row()).toEqual(nothing);
    await anothers.release();
  });

  it("a prompt in ComfyUI's queue", async () => {
    const client = createComfyuiClient({ baseUrl: comfyui.address, log });
    await comfyui.addFaults([{ prompt: { match: 'left-behind' }, fault: { kind: 'slow', renderMs: 600_000 } }]);
    const [promptId, clientId] = [randomUUID(), randomUUID()];
    await client.submit({ promptId, clientId, graph: textToImage({ prefix: 'left-behind', steps: 10_000 }) });
    expect(await row()).toMatchObject({ holds: false, by: expect.stringMatching(/^1 in ComfyUI's queue/) as string });
    await client.interrupt(promptId);
    await waitUntil('an empty queue', async () => (await row()).holds);
  });
});

describe('what is wrong on the command line is said before anything is started', () => {
  it.each([
    ['no sd-scripts', () => ['--comfyui', comfyui.address], 2, '--sd-scripts'],
    ['an address alone', () => ['--comfyui', comfyui.address, '--sd-scripts', standIn], 2, '--comfyui-directory'],
    [
      'an address where nobody is',
      () => ['--comfyui', 'http://127.0.0.1:9', '--comfyui-directory', directory, '--sd-scripts', standIn],
      6,
      'COMFYUI_UNREACHABLE',
    ],
    [
      'another folder for the LoRAs',
      () => ['--comfyui', comfyui.address, '--comfyui-directory', folder, '--sd-scripts', standIn],
      6,
      'LORAS_FOLDER_MISSING',
    ],
    [
      'a driver that does not answer',
      () => {
        const programs = ['--comfyui', comfyui.address, '--comfyui-directory', directory, '--sd-scripts', standIn];
        return [...programs, '--nvidia-smi', 'nvidia-smi'];
      },
      1,
      '--nvidia-smi none',
    ],
    ['a folder that is no ComfyUI', () => ['--comfyui', folder, '--sd-scripts', standIn], 5, 'main.py'],
    [
      'a folder that is no sd-scripts',
      () => ['--comfyui', comfyui.address, '--comfyui-directory', directory, '--sd-scripts', folder],
      6,
      'SD_SCRIPTS_NOT_FOUND',
    ],
  ])('%s', async (_, args, code, said) => {
    const home = join(folder, 'unused');
    await mkdir(home, { recursive: true });
    const { exitCode, stdout, stderr } = await acceptance(...args(), '--home', home);
    expect([exitCode, stdout]).toEqual([code, '']);
    expect(stderr).toContain(said);
    expect(await exists(join(home, 'tower.toml'))).toBe(false);
  });
});
