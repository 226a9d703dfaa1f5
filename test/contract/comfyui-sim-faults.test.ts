import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import axios from 'axios';
import { execa } from 'execa';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';

import { packageRoot } from '../../src/files/package-root.js';
import type { FaultRule } from '../../src/sims/comfyui/faults.js';
import { ComfyuiWorld, textToImage, type HistoryEntry } from '../support/simulated-comfyui.js';
import { waitUntil } from '../support/wait-until.js';

let world: ComfyuiWorld;
beforeEach(async () => {
  world = await ComfyuiWorld.create();
});
afterEach(() => world.close());

/** A fault of the next prompt. */
function next(fault: Extract<FaultRule, { prompt: unknown }>['fault'], after = 0): void {
  world.server.addFaults([{ prompt: { after }, fault }]);
}

function lastEvent(entry: HistoryEntry): [string, Record<string, unknown>] {
  const last = entry.status.messages.at(-1);
  if (last === undefined) throw new Error('no event');
  return last;
}

describe('faults of a request', () => {
  it('happen on the route they name, so many times, after so many', async () => {
    const route = 'GET /history/{prompt_id}';
    world.server.addFaults([
      { route, after: 1, times: 2, fault: { kind: 'status', status: 503 } },
      { route, match: 'other', fault: { kind: 'replace', body: '<html>' } },
    ]);
    const statuses = [];
    for (let index = 0; index < 4; index++) statuses.push((await world.get('/history/x')).status);
    expect(statuses).toEqual([200, 503, 503, 200]);
    expect((await world.get('/api/history/other')).data).toBe('<html>');
    expect((await world.get('/queue')).status).toBe(200);
    expect(world.server.statistics().requests[route]).toBe(5);
  });

  it('cut an answer or leave it out, with and without the effect', async () => {
    const route = 'POST /prompt';
    const submit = (id: string) => world.post('/prompt', { prompt: textToImage(), prompt_id: id });
    for (const [id, fault] of Object.entries({
      before: { kind: 'reset', when: 'before-acting' },
      after: { kind: 'reset', when: 'after-acting' },
      short: { kind: 'short-body', bytes: 5 },
    } as const)) {
      world.server.addFaults([{ route, fault }]);
      await expect(submit(id)).rejects.toThrow(/hang up|aborted|reset/i);
    }
    world.server.addFaults([{ route, fault: { kind: 'silence' } }]);
    const silent = axios.post(
      `${world.server.address}/prompt`,
      { prompt: textToImage(), prompt_id: 'silent' },
      { timeout: 300, proxy: false },
    );
    await expect(silent).rejects.toThrow('timeout');
    for (const id of ['after', 'short', 'silent']) await world.ended(id);
    expect(await world.history('before')).toBeUndefined();
  });

  it('let the answer of a submit come after the events of its prompt', async () => {
    const socket = await world.socket('client');
    world.server.addFaults([{ route: 'POST /prompt', fault: { kind: 'answer-after-end' } }]);
    const id = await world.submit(textToImage(), { client_id: 'client' });
    expect(await world.history(id)).toBeDefined();
    await socket.until('execution_success');
  });

  it('are refused when they are not known', () => {
    const rule = { route: '/x', fault: { kind: 'earthquake' } } as unknown as FaultRule;
    expect(() => {
      world.server.addFaults([rule]);
    }).toThrow(/kind/);
    expect(() => {
      next({ kind: 'kill', when: 'in-step' });
    }).toThrow('no process of its own');
  });
});

describe('faults of a prompt', () => {
  it.each([
    [{ kind: 'error', exceptionType: 'ValueError', message: 'odd' } as const, 'ValueError', /odd/],
    [{ kind: 'out-of-memory' } as const, 'torch.OutOfMemoryError', /too little memory/],
  ])('%j ends it at the sampler', async (fault, type, message) => {
    next(fault, 1);
    expect((await world.run(textToImage())).status.status_str).toBe('success');
    const entry = await world.run(textToImage({ seed: 2 }));
    expect(lastEvent(entry)).toMatchObject([
      'execution_error',
      { node_type: 'KSampler', exception_type: type, exception_message: expect.stringMatching(message) as string },
    ]);
    expect(Object.keys(entry.outputs)).toEqual([]);
    // The server goes on with the next one.
    expect((await world.run(textToImage({ seed: 3 }))).status.completed).toBe(true);
  });

  it('interrupted and deleted by somebody else: an event, and no trace at all', async () => {
    next({ kind: 'interrupted' });
    expect(lastEvent(await world.run(textToImage()))[0]).toBe('execution_interrupted');
    next({ kind: 'deleted' });
    await world.submit(textToImage({ seed: 2 }), { prompt_id: 'deleted' });
    await world.run(textToImage({ seed: 3 }));
    expect(await world.history('deleted')).toBeUndefined();
    expect(world.server.statistics().renders.map(({ promptId }) => promptId)).not.toContain('deleted');
  });

  it('the output is missing, truncated, corrupt, blank, of another size or nearly the one before', async () => {
    const size = { width: 64, height: 64, steps: 1 };
    const before = await world.image(await world.run(textToImage({ seed: 1, ...size })));
    const rendered = async (output: 'truncated' | 'corrupt' | 'blank' | 'wrong-size' | 'near-duplicate') => {
      next({ kind: 'output', output });
      return world.image(await world.run(textToImage({ seed: 2, prefix: output, ...size }), { prompt_id: output }));
    };
    const decoded = (png: Buffer) => sharp(png, { failOn: 'truncated' }).raw().toBuffer();
    next({ kind: 'output', output: 'missing' });
    await expect(world.image(await world.run(textToImage({ seed: 2, prefix: 'missing', ...size })))).rejects.toThrow(
      '404',
    );
    await expect(decoded(await rendered('truncated'))).rejects.toThrow();
    await expect(decoded(await rendered('corrupt'))).rejects.toThrow();
    expect(new Set(await decoded(await rendered('blank'))).size).toBe(1);
    expect(await sharp(await rendered('wrong-size')).metadata()).toMatchObject({ width: 32, height: 32 });
    await world.run(textToImage({ seed: 1, prefix: 'once more', ...size }));
    const [near, first] = [await decoded(await rendered('near-duplicate')), await decoded(before)];
    const difference = near.reduce((sum, byte, index) => sum + Math.abs(byte - (first[index] ?? 0)), 0) / near.length;
    expect(difference).toBeGreaterThan(0);
    expect(difference).toBeLessThan(5);
  });

  it('done, but the history does not say so for some look-ups', async () => {
    next({ kind: 'history-hidden', lookups: 2 });
    const socket = await world.socket('client');
    await world.submit(textToImage(), { prompt_id: 'hidden', client_id: 'client' });
    await socket.until('execution_success');
    expect(await world.history('hidden')).toBeUndefined();
    expect((await world.get('/api/jobs/hidden')).status).toBe(404);
    expect(await world.history('hidden')).toBeDefined();
  });

  it('rendered without any event', async () => {
    const socket = await world.socket('client');
    next({ kind: 'unseen' });
    await world.run(textToImage(), { client_id: 'client' });
    expect(new Set(socket.types)).toEqual(new Set(['status']));
  });

  it('stuck, until the server is restarted', async () => {
    next({ kind: 'stuck' });
    const id = await world.submit(textToImage());
    const socket = await world.socket('client');
    await world.oneRuns();
    await world.server.restart();
    expect(socket.closed).toBe(true);
    expect(await world.history(id)).toBeUndefined();
    expect((await world.run(textToImage(), { prompt_id: 'next' })).status.completed).toBe(true);
    expect(world.server.statistics().renders.map(({ outcome }) => outcome)).toEqual(['lost', 'success']);
  });
});

describe('a restart', () => {
  it.each([
    ['at-start', false],
    ['in-step', false],
    ['before-save', false],
    ['after-save', true],
    ['after-history', true],
  ] as const)('%s forgets queue and history, and leaves the file: %s', async (when, file) => {
    const { address } = world.server;
    await world.run(textToImage(), { prompt_id: 'old' });
    const socket = await world.socket('client');
    next({ kind: 'restart', when });
    const submitted = [
      world.submit(textToImage({ seed: 2, prefix: 'late' }), { prompt_id: 'lost', client_id: 'client' }),
      world.submit(textToImage({ seed: 3 }), { prompt_id: 'waiting' }),
    ];
    await Promise.allSettled(submitted);
    await waitUntil('the restart', () => world.server.statistics().restarts === 1);
    await waitUntil('the server', () =>
      world.get('/queue').then(
        () => true,
        () => false,
      ),
    );
    expect(socket.closed).toBe(true);
    expect(socket.messages.some(({ data }) => data['node'] === null)).toBe(false);
    for (const id of ['old', 'lost']) expect(await world.history(id)).toBeUndefined();
    expect(existsSync(join(world.server.outputDirectory, 'late_00001_.png'))).toBe(file);
    expect(world.server.address).toBe(address);
    expect((await world.post('/prompt', { prompt: textToImage() })).data).toMatchObject({ number: 0 });
  });

  it('refuses connections while the server is away', async () => {
    const restarted = world.server.restart(500);
    await waitUntil('the end', () =>
      world.get('/queue').then(
        () => false,
        (error: { code?: string }) => error.code === 'ECONNREFUSED',
      ),
    );
    await restarted;
    expect((await world.get('/queue')).status).toBe(200);
  });
});

describe('a wedged server', () => {
  it('sends no event and answers over HTTP', async () => {
    const socket = await world.socket('client');
    world.server.change({ wedged: 'events' });
    const id = await world.submit(textToImage(), { client_id: 'client' });
    await world.ended(id);
    expect(socket.types).toEqual(['status']);
    expect(socket.socket.readyState).toBe(WebSocket.OPEN);
  });

  it('stops rendering, and goes on when it is released', async () => {
    world.server.change({ wedged: 'renderer' });
    const id = await world.submit(textToImage());
    await pause(100);
    expect(await world.history(id)).toBeUndefined();
    world.server.change({ wedged: 'none' });
    await world.ended(id);
  });

  it('answers nothing at all, not even a ping', async () => {
    const socket = await world.socket('client');
    socket.socket.ping();
    await once(socket.socket, 'pong');
    world.server.change({ wedged: 'http' });
    let pongs = 0;
    socket.socket.on('pong', () => pongs++);
    socket.socket.ping();
    await expect(axios.get(`${world.server.address}/queue`, { timeout: 200, proxy: false })).rejects.toThrow('timeout');
    expect(pongs).toBe(0);
    const settings = await axios.get<{ wedged: string }>(`${world.server.address}/sim/settings`, { proxy: false });
    expect(settings.data.wedged).toBe('http');
    await world.post('/sim/settings', { wedged: 'none' });
    expect((await world.get('/queue')).status).toBe(200);
  });
});

describe('sockets', () => {
  it('with one id for two: the older one takes the newer one with it', async () => {
    const older = await world.socket('same');
    const newer = await world.socket('same');
    older.socket.close();
    await waitUntil('its end', () => older.closed);
    // The server hears of the end a little later.
    await waitUntil('silence', async () => {
      const before = newer.messages.length;
      await world.run(textToImage({ seed: Math.random() * 2 ** 31 }), { client_id: 'same' });
      return newer.messages.length === before;
    });
    expect(newer.socket.readyState).toBe(WebSocket.OPEN);
  });

  it('tell a client that comes back which node runs', async () => {
    world.server.change({ renderMs: 60_000 });
    await world.submit(textToImage(), { client_id: 'client' });
    const first = await waitUntil('the sampler', async () => {
      const { messages } = await world.socket('client');
      await waitUntil('the node', () => messages.length > 1);
      return messages[1]?.data['node'] === '5' && messages[1];
    });
    expect(first).toEqual({ type: 'executing', data: { node: '5' } });
  });

  it('send previews, with metadata to those that know it', async () => {
    world.server.change({ previews: true });
    const socket = await world.socket('client');
    await world.run(textToImage(), { client_id: 'client' });
    const plain = await waitUntil('a preview', () => socket.frames[0]);
    expect([plain.readUInt32BE(0), plain.readUInt32BE(4)]).toEqual([1, 1]);
    expect((await sharp(plain.subarray(8)).metadata()).format).toBe('jpeg');
    const knowing = await world.socket('knowing');
    knowing.socket.send(JSON.stringify({ type: 'feature_flags', data: { supports_preview_metadata: true } }));
    await knowing.until('feature_flags');
    const id = await world.submit(textToImage({ seed: 2 }), { client_id: 'knowing' });
    const frame = await waitUntil('a preview', () => knowing.frames[0]);
    const length = frame.readUInt32BE(4);
    expect(frame.readUInt32BE(0)).toBe(4);
    expect(JSON.parse(frame.subarray(8, 8 + length).toString())).toMatchObject({ prompt_id: id, node_id: '5' });
  });

  it('and requests from another origin are refused', async () => {
    const headers = { origin: 'http://example.org' };
    const { status } = await axios.get(`${world.server.address}/queue`, {
      headers,
      validateStatus: null,
      proxy: false,
    });
    expect(status).toBe(403);
    const socket = new WebSocket(`${world.server.address.replace('http', 'ws')}/ws`, { headers });
    const [error] = (await once(socket, 'error')) as [Error];
    expect(error.message).toContain('403');
  });
});

describe('as a process', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tower-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('is killed where a fault says so, and keeps its files', async () => {
    const plan = join(directory, 'faults.json');
    await writeFile(plan, JSON.stringify([{ prompt: { after: 1 }, fault: { kind: 'kill', when: 'after-save' } }]));
    const program = join(packageRoot, 'dist', 'sims', 'comfyui', 'main.js');
    const args = [program, '--directory', directory, '--faults', plan, '--dialect', 'A'];
    const child = execa(process.execPath, args, { reject: false });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { address } = JSON.parse(line.toString()) as { address: string };
    const submit = (seed: number) => axios.post(`${address}/prompt`, { prompt: textToImage({ seed, prefix: 'k' }) });
    await submit(1);
    await submit(2).catch(() => undefined);
    expect((await child).signal).toBe('SIGKILL');
    const files = await Promise.all([1, 2].map((n) => readFile(join(directory, 'output', `k_0000${n}_.png`))));
    for (const file of files) expect((await sharp(file).metadata()).width).toBe(64);
  });
});
