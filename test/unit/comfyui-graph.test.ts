import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';

import { checkGraph } from '../../src/comfyui/check-graph.js';
import { createComfyuiClient } from '../../src/comfyui/client.js';
import { fillGraph, loadGraph, type GraphValues } from '../../src/comfyui/graph-template.js';
import type { Graph } from '../../src/comfyui/graph.js';
import { firstOutputOf, graphOfAttempt } from '../../src/comfyui/render/output-prefix.js';
import { promptIdOf } from '../../src/comfyui/render/prompt-id.js';
import { withLora } from '../../src/comfyui/with-lora.js';

const values: GraphValues = {
  prompt: 'a "quoted" elf, 100% detailed',
  negative: 'text',
  seed: 123,
  width: 768,
  height: 512,
  checkpoint: 'dreamshaper_8.safetensors',
  prefix: 'run/7',
  steps: 28,
  cfg: 7.5,
  sampler: 'dpmpp_2m',
  scheduler: 'karras',
};

describe('templates', () => {
  test('the built-in graph is that of the original pipeline', async () => {
    const template = await loadGraph('default');
    expect([...template.placeholders].sort()).toEqual(Object.keys(values).sort());
    expect(fillGraph(template, values)).toMatchObject({
      '1': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'dreamshaper_8.safetensors' } },
      '2': { class_type: 'CLIPTextEncode', inputs: { text: 'a "quoted" elf, 100% detailed', clip: ['1', 1] } },
      '3': { class_type: 'CLIPTextEncode', inputs: { text: 'text', clip: ['1', 1] } },
      '4': { class_type: 'EmptyLatentImage', inputs: { width: 768, height: 512, batch_size: 1 } },
      '5': {
        class_type: 'KSampler',
        inputs: {
          ...{ seed: 123, steps: 28, cfg: 7.5, sampler_name: 'dpmpp_2m', scheduler: 'karras', denoise: 1 },
          ...{ model: ['1', 0], positive: ['2', 0], negative: ['3', 0], latent_image: ['4', 0] },
        },
      },
      '6': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['1', 2] } },
      '7': { class_type: 'SaveImage', inputs: { images: ['6', 0], filename_prefix: 'run/7' } },
    });
  });

  const own = {
    a: {
      class_type: 'T',
      inputs: { text: 'best, %prompt%, %seed%', list: { __value__: ['%seed%', 'x'] }, link: ['b', 0] },
    },
    b: {
      class_type: 'SaveImage',
      inputs: { filename_prefix: '%date:yyyy%/%prefix%_%width%', seed: '%seed%' },
      _meta: {},
    },
  };

  test('a placeholder alone keeps its type, one inside a text becomes text, and what is not ours stays', async () => {
    const template = await loadGraph(own);
    expect([...template.placeholders].sort()).toEqual(['prefix', 'prompt', 'seed', 'width']);
    expect(fillGraph(template, { ...values, prompt: '$& %seed%' })).toEqual({
      a: { class_type: 'T', inputs: { text: 'best, $& %seed%, 123', list: { __value__: [123, 'x'] }, link: ['b', 0] } },
      b: { class_type: 'SaveImage', inputs: { filename_prefix: '%date:yyyy%/run/7_768', seed: 123 }, _meta: {} },
    });
    expect(() => fillGraph(template, { ...values, width: undefined })).toThrow(
      /input filename_prefix of node b \(SaveImage\) needs a value for %width%/,
    );
  });

  test('a file is read; what is no usable graph is refused with what to do', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'tower-graph-'));
    const file = async (content: string) => {
      const path = join(directory, 'graph.json');
      await writeFile(path, content);
      return path;
    };
    try {
      expect((await loadGraph(await file(JSON.stringify(own)))).graph).toEqual(own);
      const refusals = [
        { path: await file('{'), says: /cannot be read as JSON/ },
        { path: join(directory, 'none.json'), says: /ENOENT/ },
      ];
      for (const { path, says } of refusals) await expect(loadGraph(path)).rejects.toThrow(says);
    } finally {
      await rm(directory, { recursive: true });
    }
    const page = { nodes: [{ id: 1, type: 'KSampler' }], links: [], version: 0.4 };
    await expect(loadGraph(page)).rejects.toMatchObject({
      code: 'GRAPH_INVALID',
      next: 'Export it with "Export (API)".',
    });
    await expect(loadGraph({ a: { inputs: {} } })).rejects.toThrow(/class_type/);
    await expect(loadGraph({})).rejects.toThrow(/no node/);
    await expect(loadGraph({ a: { class_type: 'T', inputs: { text: '%prompt%' } } })).rejects.toThrow(
      /lacks %seed%, %prefix%/,
    );
  });
});

describe('LoRA in a graph', () => {
  test('goes between the checkpoint and all that uses it', async () => {
    const graph = fillGraph(await loadGraph('default'), values);
    const changed = withLora(graph, { loraName: 'elara.safetensors', strength: 0.8 });
    expect(changed['8']).toEqual({
      class_type: 'LoraLoader',
      inputs: {
        ...{ model: ['1', 0], clip: ['1', 1], lora_name: 'elara.safetensors' },
        ...{ strength_model: 0.8, strength_clip: 0.8 },
      },
    });
    const links = Object.values(changed).flatMap(({ inputs }) => Object.values(inputs).filter(Array.isArray));
    expect(links).toEqual(
      expect.arrayContaining([
        ['8', 0],
        ['8', 1],
        ['1', 2],
      ]),
    );
    expect(links.filter(([id, slot]) => id === '1' && slot !== 2)).toEqual([
      ['1', 0],
      ['1', 1],
    ]);
  });

  test('a model without text encoder takes the model-only form; no loader, or two, is an error', () => {
    const graph: Graph = {
      '2': { class_type: 'UNETLoader', inputs: { unet_name: 'flux.safetensors' } },
      '3': { class_type: 'KSampler', inputs: { model: ['2', 0] } },
    };
    expect(withLora(graph, { loraName: 'l.safetensors', strength: 1 })).toMatchObject({
      '3': { inputs: { model: ['4', 0] } },
      '4': { class_type: 'LoraLoaderModelOnly', inputs: { model: ['2', 0], lora_name: 'l.safetensors' } },
    });
    const twice = { ...graph, '9': { class_type: 'CheckpointLoaderSimple', inputs: {} } };
    for (const wrong of [{}, twice]) {
      expect(() => withLora(wrong, { loraName: 'l', strength: 1 })).toThrow(/one checkpoint loader/);
    }
  });
});

describe('ids and names of a rendering', () => {
  test('an id is canonical, the same every time, and another one for another run, image, attempt or graph', async () => {
    const graph = fillGraph(await loadGraph('default'), values);
    const id = promptIdOf('run', 'image', 1, graph);
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(promptIdOf('run', 'image', 1, structuredClone(graph))).toBe(id);
    const others = [
      promptIdOf('run2', 'image', 1, graph),
      promptIdOf('run', 'image2', 1, graph),
      promptIdOf('run', 'image', 2, graph),
      promptIdOf('run', 'image', 1, withLora(graph, { loraName: 'l', strength: 1 })),
    ];
    expect(new Set([id, ...others]).size).toBe(5);
  });

  test('a further attempt saves under a name of its own', async () => {
    const graph = fillGraph(await loadGraph('default'), values);
    expect(graphOfAttempt(graph, 1)).toBe(graph);
    const output = { type: 'output', subfolder: 'run' };
    expect(firstOutputOf(graph)).toEqual({ ...output, filename: '7_00001_.png' });
    expect(firstOutputOf(graphOfAttempt(graph, 2))).toEqual({ ...output, filename: '7-2_00001_.png' });
    const dated = fillGraph(await loadGraph('default'), { ...values, prefix: '%year%/7' });
    expect(firstOutputOf(dated)).toBeUndefined();
  });
});

describe('checked against declarations of all dialects', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  const required = {
    bare: [['euler', 'heun'], {}],
    combo: ['COMBO', { options: ['euler', 'heun'] }],
    several: ['COMBO', { options: ['a', 'b'], multiselect: true }],
    remote: ['COMBO', { remote: { route: '/x' } }],
    uploaded: [['known.png'], { image_upload: true }],
    count: ['INT', { min: 1, max: 10 }],
    model: ['MODEL'],
    several_images: ['COMFY_AUTOGROW_V3', { template: { prefix: 'image_' } }],
  };
  const fitting = {
    ...{ bare: 'euler', combo: 'heun', several: ['a'], remote: 'anything', uploaded: 'new.png', count: 3 },
    ...{ model: ['1', 0], unknown: 'ignored' },
  };

  test.each([
    { change: {}, wrong: [] },
    { change: { bare: 'eular' }, wrong: ['bare'] },
    { change: { combo: 'eular' }, wrong: ['combo'] },
    { change: { count: 11 }, wrong: ['count'] },
    { change: { count: 'many' }, wrong: ['count'] },
    { change: { count: '4' }, wrong: [] },
    { change: { model: ['2', 0] }, wrong: ['model'] },
    { change: { bare: undefined, combo: 'x' }, wrong: ['bare', 'combo'] },
    { change: { 'several_images.image_0': ['1', 0] }, wrong: [] },
    { change: { model: ['toString', 0] }, wrong: ['model'] },
  ])('$change: $wrong', async ({ change, wrong }) => {
    server = createServer((_, response) =>
      response.end(JSON.stringify({ Node: { input: { required }, output_node: true, name: 'Node' } })),
    );
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const inputs = JSON.parse(JSON.stringify({ ...fitting, ...change })) as Record<string, unknown>;
    const checked = checkGraph(createComfyuiClient({ baseUrl, log: pino({ level: 'silent' }) }), {
      '1': { class_type: 'Node', inputs },
    });
    const found: unknown = await checked.then(
      () => [],
      (error: { details: { problems: { input: string }[] } }) => error.details.problems.map(({ input }) => input),
    );
    expect(found).toEqual(wrong);
  });
});
