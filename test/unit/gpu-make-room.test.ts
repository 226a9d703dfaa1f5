import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';

import {
  comfyuiGpu,
  findDevice,
  gpuIndexes,
  listComputeApps,
  listDevices,
  presentGpus,
} from '../../src/gpu/devices.js';
import { makeRoom, type RoomProgress, type RoomRequest } from '../../src/gpu/make-room.js';
import { comfyuiTenant } from '../../src/gpu/tenants/comfyui.js';
import { commandTenant } from '../../src/gpu/tenants/command.js';
import { ollamaTenant } from '../../src/gpu/tenants/ollama.js';

const gigabyte = 1024 ** 3;
const log = pino({ level: 'silent' });
let home: string;
let nvidiaSmi: string;
const servers: Server[] = [];

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  nvidiaSmi = join(home, 'nvidia-smi');
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  await rm(home, { recursive: true, force: true });
});

/** An `nvidia-smi` that prints what stands in two files; a `freed` file makes GPU 1 report less use. */
async function fakeNvidiaSmi(): Promise<void> {
  await writeFile(
    nvidiaSmi,
    `#!/bin/sh
used=22000; [ -e '${home}/freed' ] && used=500
case "$1" in
  --query-gpu=*) echo "0, GPU-aa, NVIDIA GB10, [N/A], [N/A]"; echo "1, GPU-bb, NVIDIA RTX 4090, D, 24564, $used" ;;
  --query-compute-apps=*)
    [ -e '${home}/freed' ] || echo "GPU-bb, 4711, /opt/comfy ui/python, 21500"; echo "GPU-aa, 12, other, [N/A]" ;;
esac
`,
  );
  await chmod(nvidiaSmi, 0o755);
}

async function serve(handler: (request: IncomingMessage, body: string) => unknown): Promise<string> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const answer = handler(request, body);
      if (typeof answer === 'number') response.writeHead(answer).end('boom');
      else response.end(answer === undefined ? '' : JSON.stringify(answer));
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function request(change: Partial<RoomRequest>): RoomRequest {
  return { gpuIndex: 1, neededBytes: undefined, tenants: [], limitMs: 10_000, nvidiaSmi, pollMs: 10, ...change };
}

const options = () => ({ signal: new AbortController().signal, log });

test('devices and their users are read from nvidia-smi, with unknown figures and names with commas', async () => {
  await fakeNvidiaSmi();
  expect(await listDevices(nvidiaSmi)).toMatchObject([
    { index: 0, name: 'NVIDIA GB10', totalBytes: undefined, usedBytes: undefined },
    { index: 1, kind: 'cuda', uuid: 'GPU-bb', name: 'NVIDIA RTX 4090, D', totalBytes: 24564 * 1024 ** 2 },
  ]);
  expect(await listComputeApps(nvidiaSmi)).toContainEqual({
    gpuUuid: 'GPU-bb',
    pid: 4711,
    name: '/opt/comfy ui/python',
    usedBytes: 21500 * 1024 ** 2,
  });
  await expect(findDevice(2, nvidiaSmi)).rejects.toMatchObject({ code: 'UNKNOWN_GPU' });
  expect(await gpuIndexes({ devices: 'auto', nvidiaSmi })).toEqual([0, 1]);
  expect(await gpuIndexes({ devices: [3], nvidiaSmi })).toEqual([3]);
});

test('without nvidia-smi there is one logical CPU device; a sick driver is an error', async () => {
  expect(await listDevices(nvidiaSmi)).toMatchObject([{ index: 0, kind: 'cpu' }]);
  // 6: no devices were found. 9: the driver is not loaded.
  for (const exitCode of [15, 6, 9]) {
    await writeFile(nvidiaSmi, `#!/bin/sh\necho "it has failed"\nexit ${exitCode}\n`, { mode: 0o755 });
    await expect(listDevices(nvidiaSmi)).rejects.toMatchObject({
      ...{ code: 'NVIDIA_SMI_FAILED', retryable: true, retryAfterMs: 60_000 },
      next: expect.stringContaining('`gpu.nvidiaSmi` to `none`') as string,
    });
  }
  const silence = { code: 'NVIDIA_SMI_FAILED' };
  expect(await presentGpus({ devices: 'auto', nvidiaSmi })).toMatchObject({ indexes: [0], silence });
  expect(await presentGpus({ devices: [0, 1], nvidiaSmi })).toEqual({ indexes: [0, 1], silence: undefined });
  expect(await listDevices('none')).toMatchObject([{ kind: 'cpu' }]);
});

test('ComfyUI is asked after its running job, and the VRAM is waited for', async () => {
  await fakeNvidiaSmi();
  const calls: string[] = [];
  let looks = 0;
  const url = await serve((incoming, body) => {
    calls.push(`${incoming.method} ${incoming.url} ${body}`);
    if (incoming.url === '/queue')
      return { queue_running: looks++ < 3 ? [[1, 'id', {}, {}, []]] : [], queue_pending: [] };
    return undefined;
  });
  const progress: RoomProgress[] = [];
  // The memory is freed some time after the answer, as the real server does: here once it was said who holds it.
  const onProgress = (value: RoomProgress) => {
    progress.push(value);
    if (value.waitsFor.message.includes('4711')) writeFileSync(join(home, 'freed'), '');
  };
  const room = await makeRoom(request({ neededBytes: 10 * gigabyte, tenants: [comfyuiTenant(url, { pollMs: 5 })] }), {
    ...options(),
    onProgress,
  });
  expect(calls.filter((call) => call.startsWith('GET /queue'))).toHaveLength(4);
  expect(calls.at(-1)).toBe('POST /free {"unload_models":true,"free_memory":true}');
  expect(room).toEqual({ asked: [`ComfyUI at ${url}`], away: [], freeBytes: (24564 - 500) * 1024 ** 2 });
  const said = progress.map(({ waitsFor: { code, message } }) => [code, message]);
  expect(said[0]).toEqual(['TENANT_BUSY', `ComfyUI at ${url} is asked for its GPU memory`]);
  expect(said).toContainEqual(['VRAM_NOT_FREED', expect.stringContaining('4711') as string]);
});

test('Ollama unloads each of its models', async () => {
  const unloaded: unknown[] = [];
  const url = await serve((incoming, body) => {
    if (incoming.url === '/api/ps') return { models: [{ name: 'a:latest', model: 'a:7b' }, { name: 'b' }] };
    unloaded.push(JSON.parse(body));
    return { done: true };
  });
  await makeRoom(request({ gpuIndex: 0, tenants: [ollamaTenant(url)] }), options());
  expect(unloaded).toEqual([
    { model: 'a:7b', keep_alive: 0, stream: false },
    { model: 'b', keep_alive: 0, stream: false },
  ]);
});

test('who is not running holds nothing; who answers with an error is named', async () => {
  const dead = await serve(() => undefined);
  const [server] = servers.splice(0);
  await new Promise((resolve) => server?.close(resolve));
  const room = await makeRoom(request({ gpuIndex: 0, tenants: [comfyuiTenant(dead), ollamaTenant(dead)] }), options());
  expect(room.away).toEqual([`ComfyUI at ${dead}`, `Ollama at ${dead}`]);
  const sick = await serve(() => 500);
  await expect(makeRoom(request({ tenants: [ollamaTenant(sick)] }), options())).rejects.toMatchObject({
    code: 'TENANT_FAILED',
    retryable: true,
    message: expect.stringContaining(sick) as string,
  });
});

test('a release command runs as an argument list, and its failure is named', async () => {
  const mark = join(home, 'released; touch nothing');
  await makeRoom(request({ gpuIndex: 0, tenants: [commandTenant(['touch', mark])] }), options());
  expect(await readFile(mark, 'utf8')).toBe('');
  await expect(makeRoom(request({ tenants: [commandTenant(['false'])] }), options())).rejects.toMatchObject({
    code: 'TENANT_FAILED',
  });
  await expect(
    makeRoom(request({ tenants: [commandTenant(['sleep', '60'], { timeoutMs: 50 })] }), options()),
  ).rejects.toThrow(/timed out/);
});

test('VRAM that nobody frees is an error that says who holds it', async () => {
  await fakeNvidiaSmi();
  await expect(makeRoom(request({ neededBytes: 10 * gigabyte, limitMs: 100 }), options())).rejects.toMatchObject({
    code: 'VRAM_NOT_FREED',
    retryable: true,
    message: expect.stringMatching(
      /2564 MB free, 10240 MB are needed; held by .*comfy ui.*pid 4711, 21500 MB/,
    ) as string,
  });
});

test('a tenant that never ends its job is given up after the limit; an abort ends the wait at once', async () => {
  const url = await serve(() => ({ queue_running: [[1, 'id', {}, {}, []]], queue_pending: [] }));
  const tenants = [comfyuiTenant(url, { pollMs: 5 })];
  await expect(makeRoom(request({ tenants, limitMs: 60 }), options())).rejects.toMatchObject({ code: 'TENANT_BUSY' });
  const reason = new Error('worker shutdown');
  const controller = new AbortController();
  setTimeout(() => {
    controller.abort(reason);
  }, 50);
  await expect(makeRoom(request({ tenants }), { signal: controller.signal, log })).rejects.toBe(reason);
});

test('ComfyUI renders on the first GPU unless the configuration says otherwise; one that Tower does not use is named', async () => {
  await fakeNvidiaSmi();
  expect(await comfyuiGpu({ comfyui: {}, gpu: { devices: 'auto', nvidiaSmi } })).toBe(0);
  expect(await comfyuiGpu({ comfyui: {}, gpu: { devices: [1], nvidiaSmi } })).toBe(1);
  expect(await comfyuiGpu({ comfyui: { gpu: 1 }, gpu: { devices: 'auto', nvidiaSmi } })).toBe(1);
  await expect(comfyuiGpu({ comfyui: { gpu: 3 }, gpu: { devices: [0, 1], nvidiaSmi } })).rejects.toMatchObject({
    ...{ code: 'UNKNOWN_GPU', message: 'comfyui.gpu is 3; Tower uses 0, 1 here' },
  });
});
