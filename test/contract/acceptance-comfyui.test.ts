import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { AcceptanceOptions } from '../../src/cli/acceptance/options.js';
import { listedCheckpoint, openComfyui } from '../../src/cli/acceptance/real-comfyui.js';
import { startComfyuiServer } from '../../src/sims/comfyui/server.js';
import { waitUntil } from '../support/wait-until.js';

const log = pino({ level: 'silent' });
const unused = { sdScripts: '/nowhere', images: 1, size: 64, steps: 1, timeout: 1 };
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
