import { copyFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { sha256Of } from '../../src/files/sha256.js';
import { readPng } from '../../src/comfyui/png.js';
import type { RenderImage } from '../../src/comfyui/render/types.js';
import { graphFor, RenderBench } from '../support/comfyui-render.js';

let bench: RenderBench;
afterEach(() => bench.close());

describe.each(['A', 'B', 'N'] as const)('dialect %s', (dialect) => {
  test('forty images: one submit and one download each, never more than two queued, in their order', async () => {
    bench = await RenderBench.start({ dialect, settings: { renderMs: 5 } });
    const wanted = await bench.images(40);
    const { summary, images } = await bench.render(wanted);
    expect(summary).toMatchObject({ delivered: 40, rejected: 0, stopped: null, recoveries: {} });
    expect(summary.server?.simulated).toBe(true);
    const { requests, deepestQueue, renders, socketsOpened } = bench.server.statistics();
    expect(requests).toEqual({
      ...{ 'GET /system_stats': 1, 'GET /queue': 1, 'GET /history': 1 },
      ...{ 'POST /prompt': 40, 'GET /view': 40 },
    });
    expect({ deepestQueue, socketsOpened }).toEqual({ deepestQueue: 2, socketsOpened: 1 });
    expect(renders.map(({ prefix }) => prefix)).toEqual(wanted.map(({ key }) => `run/${key}`));
    for (const { path, sha256, bytes, size, image, attempt, cached } of images) {
      const file = await readFile(path);
      expect({ path, sha256, bytes }).toEqual({ path: image.target, sha256: sha256Of(file), bytes: file.length });
      expect({ size, attempt, cached }).toEqual({ size: { width: 64, height: 64 }, attempt: 1, cached: false });
    }
  });
});

test('images are read one at a time, as there is room', async () => {
  bench = await RenderBench.start();
  let read = 0;
  let delivered = 0;
  let ahead = 0;
  async function* images() {
    for (; read < 25; read++) yield await bench.image(`image-${read}`);
  }
  await bench.render(images(), {
    onImage: () => {
      ahead = Math.max(ahead, read - delivered);
      delivered += 1;
      return Promise.resolve('accepted');
    },
  });
  expect(delivered).toBe(25);
  expect(ahead).toBeLessThanOrEqual(7);
});

test('a check may ask for another image in the place of one', async () => {
  bench = await RenderBench.start();
  const { summary, images } = await bench.render(await bench.images(4), {
    onImage: async ({ image }) => {
      if (image.key !== 'image-2') return 'accepted';
      const again = { ...image, key: 'image-2b', graph: await graphFor('image-2b', { seed: 99 }) };
      return { again };
    },
  });
  expect(summary).toMatchObject({ delivered: 4, rejected: 1 });
  expect(images.map(({ image }) => image.key).sort()).toEqual(['image-1', 'image-2b', 'image-3', 'image-4']);
});

test('what a check throws ends the batch, and nothing of it stays in ComfyUI', async () => {
  bench = await RenderBench.start({ settings: { renderMs: 100 } });
  const fault = new Error('disk on fire');
  await expect(bench.render(await bench.images(9), { onImage: () => Promise.reject(fault) })).rejects.toBe(fault);
  expect(await bench.client.queue()).toEqual({ running: [], pending: [] });
  expect(bench.server.statistics().accepted).toBeLessThan(9);
});

describe('a prompt that ComfyUI has in its cache', () => {
  let twin: RenderImage;
  const savedAs = (name: string) => join(bench.server.outputDirectory, 'run', `${name}_00001_.png`);

  beforeEach(async () => {
    bench = await RenderBench.start();
    twin = await bench.image('twin');
    await bench.render([await bench.image('other'), twin], { runKey: 'an earlier run' });
  });

  test('gives the old file, which holds the same graph', async () => {
    const { images, recoveries } = await bench.render([twin]);
    expect(images).toMatchObject([{ cached: true, attempt: 1 }]);
    expect(recoveries).toEqual([]);
  });

  test.each([
    { what: 'a file that is gone', kind: 'output-missing', change: () => rm(savedAs('twin')) },
    {
      what: 'a file that has become that of another prompt',
      kind: 'output-foreign',
      change: () => copyFile(savedAs('other'), savedAs('twin')),
    },
  ])('names $what: the save node runs again, under another name', async ({ kind, change }) => {
    await change();
    const { images, recoveries } = await bench.render([twin]);
    expect(recoveries).toMatchObject([{ kind, key: 'twin' }]);
    expect(images).toMatchObject([{ cached: false, attempt: 2, source: { filename: 'twin-2_00001_.png' } }]);
    const png = await readPng(twin.target);
    expect(typeof png === 'string' ? png : JSON.parse(png.text.get('prompt') ?? '')).toMatchObject({
      '2': { inputs: { text: '1girl, number twin' } },
    });
  });
});

test('images without metadata are confirmed by the history, one look each', async () => {
  bench = await RenderBench.start({ dialect: 'A', settings: { metadata: false } });
  const { summary, recoveries } = await bench.render(await bench.images(3));
  expect(summary.delivered).toBe(3);
  expect(recoveries).toEqual([]);
  expect(bench.server.statistics().requests['GET /history/{prompt_id}']).toBe(3);
});
