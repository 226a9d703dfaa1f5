import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, describe, expect, test } from 'vitest';

import { checkGraph } from '../../src/comfyui/check-graph.js';
import type { Graph } from '../../src/comfyui/graph.js';
import { withLora } from '../../src/comfyui/with-lora.js';
import { graphFor, RenderBench } from '../support/comfyui-render.js';

let bench: RenderBench;
afterEach(() => bench.close());

/** The graph with an output node that ComfyUI accepts, and another one that it does not. */
async function halfValid(): Promise<Graph> {
  const graph = await graphFor('half', { steps: 200 });
  return { ...graph, '8': { class_type: 'SaveImage', inputs: { filename_prefix: 'half/second' } } };
}

describe.each(['A', 'N'] as const)('dialect %s', (dialect) => {
  test('a graph is checked before a GPU second is spent', async () => {
    bench = await RenderBench.start({ dialect });
    const graph = await graphFor('checked');
    await checkGraph(bench.client, graph);
    const broken: Graph = {
      ...graph,
      '1': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'dreamshaper_9.safetensors' } },
      '5': {
        ...graph['5'],
        class_type: 'KSampler',
        inputs: { ...graph['5']?.inputs, sampler_name: 'eular', steps: 0, positive: ['99', 0] },
      },
      '6': { class_type: 'VAEDecode', inputs: { samples: ['5', 0] } },
      '9': { class_type: 'FancyUpscaler', inputs: {}, _meta: { title: 'sharper' } },
    };
    await expect(checkGraph(bench.client, broken)).rejects.toMatchObject({
      code: 'GRAPH_UNUSABLE',
      retryable: false,
      details: {
        problems: expect.arrayContaining([
          {
            ...{ node: '1 (CheckpointLoaderSimple)', input: 'ckpt_name', value: 'dreamshaper_9.safetensors' },
            ...{ problem: 'it is none of the 1 choices', choices: ['dreamshaper_8.safetensors'] },
          },
          expect.objectContaining({ input: 'sampler_name', value: 'eular' }),
          expect.objectContaining({ input: 'steps', value: 0, problem: 'it is smaller than 1' }),
          expect.objectContaining({ input: 'positive', problem: 'it is linked to node 99, which does not exist' }),
          expect.objectContaining({ input: 'vae', problem: 'a required input is missing' }),
          expect.objectContaining({
            node: '9 (FancyUpscaler, "sharper")',
            problem: 'this kind of node is not installed',
          }),
        ]) as unknown,
      },
    });
    expect(bench.server.statistics().accepted).toBe(0);
  });

  test('W4: what ComfyUI says of a graph that it rejects is kept and shown', async () => {
    bench = await RenderBench.start({ dialect });
    const image = await bench.image('bad', await graphFor('bad', { checkpoint: 'missing.safetensors' }));
    await expect(bench.render([image])).rejects.toMatchObject({
      code: 'GRAPH_REJECTED',
      retryable: false,
      message: expect.stringMatching(/node 1 \(CheckpointLoaderSimple\): .*missing\.safetensors/) as string,
      rejection: { nodeErrors: { '1': { errors: [{ type: 'value_not_in_list' }] } } },
    });
  });

  test('W4: node errors that come with a 200 reject the graph too, and it does not stay in the queue', async () => {
    bench = await RenderBench.start({ dialect, settings: { renderMs: 20_000 } });
    const image = await bench.image('half', await halfValid());
    await expect(bench.render([image])).rejects.toMatchObject({
      code: 'GRAPH_REJECTED',
      message: expect.stringMatching(/only a part of the graph; node 8 \(SaveImage\)/) as string,
    });
    expect(await bench.client.queue()).toEqual({ running: [], pending: [] });
  });
});

test('a graph without a node that puts anything out is found', async () => {
  bench = await RenderBench.start();
  const { '7': saver, ...graph } = await graphFor('nothing');
  expect(saver?.class_type).toBe('SaveImage');
  await expect(checkGraph(bench.client, graph)).rejects.toThrow(/no node puts anything out/);
});

test('the same seed with and without a LoRA gives different images; the LoRA must be listed', async () => {
  bench = await RenderBench.start();
  const loraName = 'elara_lora-v1.safetensors';
  const plain = await graphFor('plain');
  const graph = withLora(await graphFor('with-lora'), { loraName, strength: 0.8 });
  await expect(checkGraph(bench.client, graph)).rejects.toThrow(/lora_name = "elara_lora-v1.safetensors"/);

  const header = Buffer.from(JSON.stringify({ __metadata__: { ss_epoch: '7' } }));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const folder = join(bench.server.modelsDirectory, 'loras');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, loraName), Buffer.concat([length, header]));
  expect(await bench.client.models('loras')).toContain(loraName);
  expect(await bench.client.viewMetadata('loras', loraName)).toEqual({ ss_epoch: '7' });
  expect(await bench.client.viewMetadata('loras', 'none.safetensors')).toBeUndefined();
  await checkGraph(bench.client, graph);
  const { images } = await bench.render([await bench.image('plain', plain), await bench.image('with-lora', graph)]);
  expect(new Set(images.map(({ sha256 }) => sha256)).size).toBe(2);
});

test('an uploaded image can be used under the name that ComfyUI gives it', async () => {
  bench = await RenderBench.start();
  const { images } = await bench.render(await bench.images(2));
  const [first, second] = images;
  const upload = { name: 'face.png', subfolder: 'faces' };
  expect(await bench.client.uploadImage({ path: first?.path ?? '', ...upload })).toBe('faces/face.png');
  // Other content under the same name: ComfyUI chooses another one.
  const other = await bench.client.uploadImage({ path: second?.path ?? '', ...upload });
  expect(other).toBe('faces/face (1).png');
  const graph: Graph = {
    '1': { class_type: 'LoadImage', inputs: { image: other } },
    '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'copy' } },
  };
  const copied = await bench.render([await bench.image('copy', graph)]);
  expect(copied.images).toMatchObject([{ size: { width: 64, height: 64 } }]);
});

test('an address that is none, and something else that answers there', async () => {
  bench = await RenderBench.start({
    faults: [{ route: 'GET /system_stats', times: 9, fault: { kind: 'replace', body: '<h1>Sign in</h1>' } }],
  });
  await expect(bench.render(await bench.images(1))).rejects.toMatchObject({
    code: 'COMFYUI_ANSWER_INVALID',
    message: expect.stringMatching(/expected JSON, found "<h1>Sign in/) as string,
  });
});
