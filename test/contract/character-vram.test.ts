import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { imageValues } from '../../src/activities/character/image-values.js';
import { gigabytes, makeRoomFor, makeRoomForImages } from '../../src/activities/make-room-for.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { createComfyuiClient } from '../../src/comfyui/client.js';
import { fillGraph, loadGraph } from '../../src/comfyui/graph-template.js';
import { loadConfig } from '../../src/config/load-config.js';
import type { Config } from '../../src/config/schema.js';
import type { RoomProgress } from '../../src/gpu/make-room.js';
import { startComfyuiServer, type ComfyuiServer } from '../../src/sims/comfyui/server.js';
import { waitUntil } from '../support/wait-until.js';

const log = pino({ level: 'silent' });
const options = { signal: new AbortController().signal, log };
let home: string;
let comfyui: ComfyuiServer;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  comfyui = await startComfyuiServer({ directory: join(home, 'comfyui') });
});
afterEach(async () => {
  await comfyui.close();
  await rm(home, { recursive: true, force: true });
});

/** A card of 12 GiB, of which so many MiB are used; fewer once a file says that they were freed. */
async function config(usedMegabytes: number): Promise<Config> {
  const nvidiaSmi = join(home, 'nvidia-smi');
  await writeFile(
    nvidiaSmi,
    `#!/bin/sh
case "$1" in
  --query-gpu=*) echo "0, GPU-aa, NVIDIA RTX 3060, 12288, ${usedMegabytes}" ;;
  --query-compute-apps=*) echo "GPU-aa, 4711, /opt/ComfyUI/python, ${usedMegabytes}" ;;
esac
`,
  );
  await chmod(nvidiaSmi, 0o755);
  const settings = [`comfyui.url=${comfyui.address}`, `gpu.nvidiaSmi=${nvidiaSmi}`, 'gpu.makeRoomMinutes=0.02'];
  return (await loadConfig({ env: {}, settings })).config;
}

const freed = () => comfyui.statistics().requests['POST /free'] ?? 0;

it('has ComfyUI give its memory back before a training, and names it when it does not (W19)', async () => {
  const need = { gpuIndex: 0, bytes: gigabytes(10), setting: 'gpu.trainVramGigabytes' as const };
  await makeRoomFor({ config: await config(500) }, need, options);
  expect(freed()).toBe(1);
  await expect(makeRoomFor({ config: await config(9_000) }, need, options)).rejects.toMatchObject({
    code: 'VRAM_NOT_FREED',
    retryable: true,
    message: expect.stringContaining('/opt/ComfyUI/python') as string,
  });
});

it('does not free ComfyUI before its own rendering: what it holds counts as free for it (W19)', async () => {
  const client = createComfyuiClient({ baseUrl: comfyui.address, log });
  const place = { client, gpuIndex: 0 };
  const full = await config(6_500);
  // Somebody else holds it.
  await expect(makeRoomForImages({ config: full }, place, options)).rejects.toMatchObject({ code: 'VRAM_NOT_FREED' });

  const promptId = '0b2a5a52-5c39-4b0e-8f5a-2f6f0e6f7a10';
  const values = { ...parseCharacterJob({ name: 'Elara', description: '1girl' }), prompt: '1girl', prefix: 'vram' };
  const graph = fillGraph(await loadGraph('default'), imageValues(values, { ...values, negative: 'text' }));
  await client.submit({ promptId, graph });
  await waitUntil('a loaded model', () => client.history(promptId));
  await makeRoomForImages({ config: full }, place, options);
  expect(freed()).toBe(0);
});

it('waits for a ComfyUI that is still starting: no turn on the GPU is spent on that (W1, W10)', async () => {
  const { address } = comfyui;
  const lines: string[] = [];
  const ownLog = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
  const place = { client: createComfyuiClient({ baseUrl: address, log }), gpuIndex: 0 };
  const loaded = await config(500);
  await comfyui.close();
  const told: (string | undefined)[] = [];
  const onProgress = (progress: RoomProgress) => told.push(progress.waitsFor.code);
  const room = makeRoomForImages({ config: loaded }, place, { ...options, log: ownLog, onProgress });
  await Promise.race([waitUntil('an absence', () => lines.some((line) => line.includes('ComfyUI is away'))), room]);
  comfyui = await startComfyuiServer({ directory: join(home, 'comfyui'), port: Number(new URL(address).port) });
  await room;
  expect(told).toContain('COMFYUI_UNREACHABLE');
});

it('a GPU that could not hold the work even empty is not waited for, and the setting is named (W19)', async () => {
  const need = { gpuIndex: 0, bytes: gigabytes(12.5), setting: 'character.trainVramGigabytes' as const };
  await expect(makeRoomFor({ config: await config(500) }, need, options)).rejects.toMatchObject({
    ...{ code: 'GPU_TOO_SMALL', retryable: false },
    message: 'GPU 0 (NVIDIA RTX 3060) has 12288 MB in all, 12800 MB are needed (character.trainVramGigabytes)',
    next: expect.stringContaining('lower character.trainVramGigabytes') as string,
  });
  // Nobody was asked for what would not help.
  expect(freed()).toBe(0);
  await makeRoomFor({ config: await config(0) }, { ...need, bytes: gigabytes(12) }, options);

  const place = { client: createComfyuiClient({ baseUrl: comfyui.address, log }), gpuIndex: 0 };
  const small = await config(500);
  const character = { ...small.character, imageVramGigabytes: 13 };
  await expect(makeRoomForImages({ config: { ...small, character } }, place, options)).rejects.toMatchObject({
    ...{ code: 'GPU_TOO_SMALL', message: expect.stringContaining('character.imageVramGigabytes') as string },
  });
});
