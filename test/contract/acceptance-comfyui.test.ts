import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { AcceptanceOptions } from '../../src/cli/acceptance/options.js';
import { listedCheckpoint, openComfyui } from '../../src/cli/acceptance/real-comfyui.js';
import { startComfyuiServer } from '../../src/sims/comfyui/server.js';
import { waitUntil } from '../support/wait-until.js';

const log = pino({ level: 'silent' });
const unused = { sdScripts: '/nowhere', images: 1, size: 64, steps: 1, timeout: 1, nvidiaSmi: 'none' };
let home: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
});
afterEach(() => rm(home, { recursive: true, force: true, maxRetries: 5 }));

it('a ComfyUI that is still starting ends with whoever has started it, and the reason is told', async () => {
  const folder = join(home, 'ComfyUI');
  await mkdir(folder);
  await writeFile(
    join(folder, 'main.py'),
    "import os, time\nprint(f'pid {os.getpid()} ', flush=True)\ntime.sleep(600)\n",
  );
  const checkpoint = join(home, 'small.safetensors');
  await writeFile(checkpoint, '');
  const interrupted = new AbortController();
  const options: AcceptanceOptions = { ...unused, comfyui: folder, checkpoint, comfyuiPython: 'python3' };
  const opened = openComfyui(options, { home, log, signal: interrupted.signal });
  const failure = opened.catch((error: unknown) => error);
  const pid = await waitUntil('the start of ComfyUI', async () => {
    const text = await readFile(join(home, 'logs', 'comfyui.log'), 'utf8').catch(() => '');
    return /pid (\d+) /.exec(text)?.[1];
  });
  const reason = new Error('a person has enough');
  interrupted.abort(reason);
  expect(await failure).toBe(reason);
  expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH');
});

it('a ComfyUI that is started has the only checkpoint of its folder where none is named', async () => {
  const folder = join(home, 'ComfyUI');
  const checkpoints = join(folder, 'models', 'checkpoints');
  await mkdir(join(checkpoints, 'SD15'), { recursive: true });
  await writeFile(join(folder, 'main.py'), '');
  await writeFile(join(checkpoints, 'put_checkpoints_here'), '');
  const options: AcceptanceOptions = { ...unused, comfyui: folder, comfyuiPython: 'python3' };
  const opened = () => openComfyui(options, { home, log, signal: new AbortController().signal });
  await expect(opened()).rejects.toMatchObject({ code: 'USAGE' });
  await writeFile(join(checkpoints, 'SD15', 'small.safetensors'), 'weights');
  await expect(opened()).rejects.toMatchObject({ code: 'COMFYUI_NOT_STARTED' });
  expect(await readdir(join(home, 'comfyui', 'models', 'checkpoints'))).toEqual(['small.safetensors']);
  expect(await readFile(join(home, 'comfyui', 'models', 'checkpoints', 'small.safetensors'), 'utf8')).toBe('weights');
  await writeFile(join(checkpoints, 'large.ckpt'), '');
  await expect(opened()).rejects.toMatchObject({
    ...{ code: 'USAGE', next: expect.stringContaining('SD15/small.safetensors, large.ckpt') as string },
  });
});

it('a checkpoint is named as ComfyUI lists it, also in a folder of its own', async () => {
  const directory = join(home, 'comfyui');
  await mkdir(join(directory, 'models', 'loras'), { recursive: true });
  const server = await startComfyuiServer({ directory, checkpoints: ['SD15/small.safetensors', 'large.safetensors'] });
  try {
    const options: AcceptanceOptions = { ...unused, comfyui: server.address, comfyuiDirectory: directory };
    const comfyui = await openComfyui(options, { home, log, signal: new AbortController().signal });
    expect(await listedCheckpoint(comfyui, 'SD15/small.safetensors')).toBe('SD15/small.safetensors');
    expect(await listedCheckpoint(comfyui, '/models/large.safetensors')).toBe('large.safetensors');
    await expect(listedCheckpoint(comfyui, undefined)).rejects.toMatchObject({ code: 'USAGE' });
  } finally {
    await server.close();
  }
});
