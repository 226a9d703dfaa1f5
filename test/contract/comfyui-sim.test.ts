import { randomUUID } from 'node:crypto';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { Dialect } from '../../src/sims/comfyui/dialect.js';
import { ComfyuiWorld, textToImage, type HistoryEntry } from '../support/simulated-comfyui.js';
import { waitUntil } from '../support/wait-until.js';

let world: ComfyuiWorld;
beforeEach(async () => {
  world = await ComfyuiWorld.create();
});
afterEach(() => world.close());

/** Starts another server with another dialect; the one of `beforeEach` is closed first. */
async function speaking(dialect: Dialect): Promise<void> {
  await world.close();
  world = await ComfyuiWorld.create({ dialect });
}

interface Rejection {
  readonly error: { type: string; details: string; extra_info: Record<string, unknown> };
  readonly node_errors: Record<string, { class_type: string; dependent_outputs: string[]; errors: { type: string }[] }>;
}

async function rejected(graph: object, more: object = {}): Promise<Rejection> {
  const { status, data } = await world.post('/prompt', { prompt: graph, ...more });
  expect(status).toBe(400);
  return data;
}

function changed(node: string, inputs: Record<string, unknown>): object {
  const graph = textToImage();
  Object.assign(graph[node]?.inputs ?? {}, inputs);
  return graph;
}

function events(entry: HistoryEntry): string[] {
  return entry.status.messages.map(([event]) => event);
}

describe('a prompt', () => {
  it('runs with the messages of the real server in their order, and is in the history when the last one comes', async () => {
    const socket = await world.socket('client');
    const id = await world.submit(textToImage({ steps: 3 }), { client_id: 'client' });
    await waitUntil('the end', () => socket.messages.some(({ data }) => data['node'] === null));
    const entry = await world.history(id);
    expect(socket.types).toEqual([
      ...['status', 'status', 'status', 'execution_start', 'execution_cached'],
      ...['executing', 'executing', 'executing', 'executing', 'executing', 'executing', 'executing', 'executed'],
      ...['execution_success', 'status', 'executing'],
    ]);
    const steps = socket.messages.filter(({ type }) => type === 'progress').map(({ data }) => data['value']);
    expect(steps).toEqual([1, 2, 3]);
    expect(events(entry ?? fail())).toEqual(['execution_start', 'execution_cached', 'execution_success']);
    expect(entry?.outputs['7']?.images).toEqual([{ filename: 'image_00001_.png', subfolder: 'test', type: 'output' }]);
    const state = await socket.until('progress_state', 1);
    expect(state.data).toMatchObject({ prompt_id: id, nodes: { '1': { state: 'running', value: 0, max: 1 } } });
  });

  it('is told to its own client only; one without a client shows its progress to all', async () => {
    const [own, other] = [await world.socket('own'), await world.socket('other')];
    await world.run(textToImage(), { client_id: 'own' });
    await own.until('execution_success');
    expect(new Set(other.types)).toEqual(new Set(['status']));
    await world.run(textToImage({ seed: 2 }));
    await other.until('progress', 2);
    expect(other.types).not.toContain('execution_start');
  });

  it('is refused by a body of the wrong form with 500 and text, as the real server does', async () => {
    expect((await world.post('/prompt', '{')).status).toBe(500);
    expect((await world.post('/free')).status).toBe(500);
    expect((await world.get('/history?max_items=abc')).status).toBe(500);
    expect((await world.post('/interrupt')).status).toBe(200);
  });
});

describe('validation', () => {
  it.each<[string, object, string]>([
    ['5', { seed: undefined }, 'required_input_missing'],
    ['5', { model: ['1'] }, 'bad_linked_input'],
    ['5', { model: ['1', 1] }, 'return_type_mismatch'],
    ['5', { steps: 'many' }, 'invalid_input_type'],
    ['5', { steps: 0 }, 'value_smaller_than_min'],
    ['5', { cfg: 101 }, 'value_bigger_than_max'],
    ['5', { sampler_name: 'none' }, 'value_not_in_list'],
    ['1', { ckpt_name: 'missing.safetensors' }, 'value_not_in_list'],
    ['7', { images: ['99', 0] }, 'exception_during_validation'],
    ['6', { samples: ['99', 0] }, 'exception_during_inner_validation'],
  ])('node %s with %j is told as %s', async (node, inputs, type) => {
    const { error, node_errors: errors } = await rejected(changed(node, inputs as Record<string, unknown>));
    expect(error.type).toBe('prompt_outputs_failed_validation');
    // Upstream of the output node the reason is only in node_errors.
    expect(error.details === '').toBe(node !== '7');
    expect(errors[node]?.errors.map((found) => found.type)).toEqual([type]);
    expect(errors[node]?.dependent_outputs).toEqual(['7']);
    expect(Object.keys(errors)).toEqual([node]);
  });

  it('shows a short list of choices, and only the length of a long one', async () => {
    const long = await rejected(changed('5', { sampler_name: 'none' }));
    expect(long.node_errors['5']?.errors[0]).toMatchObject({
      details: "sampler_name: 'none' not in (list of length 42)",
      extra_info: { input_config: null, received_value: 'none' },
    });
    const short = await rejected(changed('5', { scheduler: 'none' }));
    expect(short.node_errors['5']?.errors[0]).toMatchObject({ details: expect.stringContaining("'karras'") as string });
  });

  it('drops an invalid output silently when another one is valid', async () => {
    const graph = { ...textToImage(), '9': { class_type: 'SaveImage', inputs: { images: ['6', 0] } } };
    const { status, data } = await world.post('/prompt', { prompt: graph });
    expect(status).toBe(200);
    expect(data).toMatchObject({ node_errors: { '9': { errors: [{ type: 'required_input_missing' }] } } });
    const { outputs } = await world.ended((data as { prompt_id: string }).prompt_id);
    expect(Object.keys(outputs)).toEqual(['7']);
  });

  it('names what is no prompt at all', async () => {
    expect((await world.post('/prompt', {})).data).toMatchObject({ error: { type: 'no_prompt' } });
    const graph = textToImage();
    delete graph['7'];
    expect((await rejected(graph)).error.type).toBe('prompt_no_outputs');
  });

  it.each<[Dialect, string, object]>([
    ['A', 'invalid_prompt', {}],
    ['B', 'missing_node_type', { node_id: '9', class_type: 'Nothing' }],
    ['N', 'missing_node_type', { node_id: '9', class_type: 'Nothing' }],
  ])('dialect %s calls an unknown node %s', async (dialect, type, extra) => {
    await speaking(dialect);
    const { error } = await rejected({ ...textToImage(), '9': { class_type: 'Nothing', inputs: {} } });
    expect(error).toMatchObject({ type, details: "Node ID '#9'", extra_info: extra });
  });

  it('wants a canonical UUID in dialect N only, and names a cycle there', async () => {
    expect(await world.submit(textToImage(), { prompt_id: 'job-42' })).toBe('job-42');
    expect(await world.submit(textToImage(), { prompt_id: null })).toBe('None');
    await speaking('N');
    expect((await rejected(textToImage(), { prompt_id: randomUUID().toUpperCase() })).error.type).toBe(
      'invalid_prompt_id',
    );
    expect(await world.submit(textToImage(), { prompt_id: null })).toMatch(/^[\da-f-]{36}$/);
    const graph = textToImage();
    Object.assign(graph['4'] ?? {}, { class_type: 'VAEEncode', inputs: { pixels: ['6', 0], vae: ['1', 2] } });
    expect((await rejected(graph)).error.type).toBe('dependency_cycle');
  });
});

describe('the queue', () => {
  const slow = { renderMs: 60_000 };

  async function pendingIds(): Promise<string[]> {
    const { queue_pending: pending } = (await world.get('/queue')).data as { queue_pending: [number, string][] };
    return pending.sort((a, b) => a[0] - b[0]).map(([, id]) => id);
  }

  it('runs by number, front first; a deleted job leaves no trace', async () => {
    world.server.change(slow);
    const running = await world.submit(textToImage(), { prompt_id: 'running' });
    await world.oneRuns();
    await world.submit(textToImage({ seed: 2 }), { prompt_id: 'second' });
    await world.submit(textToImage({ seed: 3 }), { prompt_id: 'first', front: true });
    await world.submit(textToImage({ seed: 4 }), { prompt_id: 'last', number: 50 });
    expect(await pendingIds()).toEqual(['first', 'second', 'last']);
    const answer = await world.post('/queue', { delete: ['second', 'unknown'] });
    expect([answer.status, answer.data]).toEqual([200, '']);
    expect(await pendingIds()).toEqual(['first', 'last']);
    expect(await world.history('second')).toBeUndefined();
    await world.post('/queue', { clear: true });
    expect((await world.get('/prompt')).data).toEqual({ exec_info: { queue_remaining: 1 } });
    await world.post('/interrupt', { prompt_id: 'second' });
    expect((await world.get('/prompt')).data).toEqual({ exec_info: { queue_remaining: 1 } });
    expect(running).toBe('running');
  });

  it('does not recognise a repeated id: it runs twice, and breaks the heap when the number is the same too', async () => {
    world.server.change(slow);
    await world.submit(textToImage());
    await world.oneRuns();
    await world.submit(textToImage({ seed: 2 }), { prompt_id: 'twice' });
    await world.submit(textToImage({ seed: 2 }), { prompt_id: 'twice' });
    expect(await pendingIds()).toEqual(['twice', 'twice']);
    await world.post('/queue', { clear: true });
    await world.submit(textToImage({ seed: 3 }), { prompt_id: 'same', number: 9 });
    expect((await world.post('/prompt', { prompt: textToImage(), prompt_id: 'same', number: 9 })).status).toBe(500);
  });

  it('interrupts the running job at its next step; the history calls that an error', async () => {
    world.server.change({ renderMs: 2_000 });
    const id = await world.submit(textToImage({ steps: 100 }));
    await world.oneRuns();
    await world.post('/interrupt', { prompt_id: id });
    const entry = await world.ended(id);
    expect(entry.status).toMatchObject({ status_str: 'error', completed: false });
    expect(events(entry).at(-1)).toBe('execution_interrupted');
    expect((await world.get(`/api/jobs/${id}`)).data).toMatchObject({ id, status: 'cancelled' });
  });
});

describe('the history and the jobs', () => {
  it('pages the history as the real server does', async () => {
    const ids: string[] = [];
    for (const seed of [1, 2, 3, 4]) {
      const id = await world.submit(textToImage({ seed }));
      await world.ended(id);
      ids.push(id);
    }
    const page = async (query: string) => Object.keys((await world.get(`/history?${query}`)).data);
    expect(await page('')).toEqual(ids);
    expect(await page('max_items=2')).toEqual(ids.slice(2));
    expect(await page('max_items=2&offset=1')).toEqual(ids.slice(1, 3));
    await world.post('/history', { delete: [ids[0]] });
    expect(await page('')).toEqual(ids.slice(1));
    await world.post('/history', { clear: true });
    expect(await page('')).toEqual([]);
  });

  it('answers /x and /api/x; the jobs are there from B on, cancelling in N', async () => {
    const id = await world.submit(textToImage(), { extra_data: { extra_pnginfo: { workflow: { id: 'flow' } } } });
    await world.ended(id);
    const { data } = await world.get('/api/jobs?status=completed&limit=1');
    expect(data).toMatchObject({
      jobs: [{ id, status: 'completed', outputs_count: 1, workflow_id: 'flow', preview_output: { nodeId: '7' } }],
      pagination: { offset: 0, limit: 1, total: 1, has_more: false },
    });
    expect((await world.get(`/api/api/jobs/${id}`)).data).toMatchObject({ execution_status: { completed: true } });
    expect((await world.get('/api/jobs/unknown')).status).toBe(404);
    expect((await world.get('/api/jobs?status=unknown')).status).toBe(400);
    expect((await world.post(`/api/jobs/${id}/cancel`)).status).toBe(404);
    expect((await world.get('/api/history')).status).toBe(200);
    await speaking('A');
    expect((await world.get('/api/jobs')).status).toBe(404);
    await speaking('N');
    world.server.change({ renderMs: 60_000 });
    const [first, second] = [await world.submit(textToImage()), await world.submit(textToImage({ seed: 2 }))];
    expect((await world.post(`/api/jobs/${second}/cancel`)).data).toEqual({ cancelled: true });
    expect((await world.post(`/api/jobs/${second}/cancel`)).data).toEqual({ cancelled: false });
    expect((await world.get(`/api/jobs/${first}`)).data).toMatchObject({ status: 'in_progress' });
    expect((await world.post('/api/jobs/cancel', { job_ids: ['x'] })).data).toMatchObject({ invalid_ids: ['x'] });
  });
});

describe('what the server says about itself', () => {
  it('is simulated, in every dialect and answer', async () => {
    for (const [dialect, version, system] of [
      ['A', '0.3.64+simulated', 'posix'],
      ['B', '0.12.1+simulated', 'linux'],
      ['N', '0.16.0+simulated', 'linux'],
    ] as const) {
      await speaking(dialect);
      const { data, headers } = await world.get('/system_stats');
      expect(data).toMatchObject({ system: { comfyui_version: version, os: system } });
      expect(headers['x-simulated']).toBe('true');
    }
  });

  it('declares choices as a bare list, and as COMBO in N', async () => {
    interface Information {
      KSampler: { input: { required: { scheduler: unknown } } };
    }
    const input = async () => {
      const information = (await world.get('/object_info/KSampler')).data as Information;
      return information.KSampler.input.required;
    };
    const { scheduler } = await input();
    expect(scheduler).toMatchObject([expect.arrayContaining(['karras'])]);
    await speaking('N');
    const { scheduler: combo } = await input();
    expect(combo).toMatchObject(['COMBO', { options: expect.arrayContaining(['karras']) as string[] }]);
    expect((await world.get('/object_info/Nothing')).data).toEqual({});
    expect(Object.keys((await world.get('/object_info')).data)).toContain('LoraLoader');
  });

  it('frees models when idle, unless it is told never to', async () => {
    const free = async () =>
      ((await world.get('/system_stats')).data as { devices: { vram_free: number; vram_total: number }[] }).devices[0];
    const isEmpty = async () => {
      const device = await free();
      return device?.vram_free === device?.vram_total;
    };
    await world.run(textToImage());
    expect(await isEmpty()).toBe(false);
    world.server.change({ frees: false });
    await world.post('/free', { unload_models: true, free_memory: true });
    await world.run(textToImage());
    expect(await isEmpty()).toBe(false);
    world.server.change({ frees: true });
    await world.post('/free', { unload_models: true });
    await waitUntil('free memory', isEmpty);
  });
});

function fail(): never {
  throw new Error('expected an entry');
}
