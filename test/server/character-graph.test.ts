import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import type { CharacterLoraResult } from '../../src/client.js';
import { defaultGraph } from '../../src/comfyui/default-graph.js';
import type { Graph } from '../../src/comfyui/graph.js';
import { readPng } from '../../src/comfyui/png.js';
import { CharacterMachine, smallJob } from '../support/character-machine.js';

let machine: CharacterMachine;

beforeAll(async () => {
  machine = await CharacterMachine.create({ comfyui: { renderMs: 20 } });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
});
afterAll(() => machine.close());

const { '1': loader, '3': negative, '5': sampler, ...others } = defaultGraph;

/** Other node ids than Tower's, values of its own where placeholders may be left out, and text around a placeholder. */
const ownGraph = {
  ...others,
  '2': { class_type: 'CLIPTextEncode', inputs: { text: 'masterpiece, %prompt%', clip: ['40', 1] } },
  '3': { ...negative, inputs: { text: 'my own negative', clip: ['40', 1] } },
  '5': { ...sampler, inputs: { ...sampler?.inputs, model: ['40', 0], sampler_name: 'euler', cfg: 5.5 } },
  '6': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['40', 2] } },
  '40': { ...loader, _meta: { title: 'my loader' } },
};

const flags = [
  ...['--description', smallJob.description, '--tags', '1girl,brown hair', '--count', '2', '--size', '64x64'],
  ...['--epochs', '1', '--network-dim', '4', '--network-alpha', '2', '--with', 'kohya.num_repeats=1'],
  ...['--allow-simulated', '--deliver-simulated'],
];

function start(name: string, ...more: string[]) {
  return machine.tower.tower('character', 'start', '--name', name, ...flags, ...more, '--json');
}

/** The graph that ComfyUI has written into a picture. */
async function graphOf(path: string): Promise<Graph> {
  const png = await readPng(path);
  if (typeof png === 'string') throw new Error(png);
  return JSON.parse(png.text.get('prompt') ?? 'null') as Graph;
}

it('renders and proves with a graph file of the user, which only the command line can read', async () => {
  const folder = join(machine.tower.home, 'of-the-user');
  await mkdir(folder);
  const file = join(folder, 'own-graph.json');
  await writeFile(file, JSON.stringify(ownGraph));
  // Nobody takes the work before the file is gone.
  await machine.tower.stopWorkers();
  const started = await start('Own', '--graph', file);
  expect(started.exitCode).toBe(0);
  await rm(folder, { recursive: true });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);

  const { workflowId } = JSON.parse(String(started.stdout)) as { workflowId: string };
  const handle = machine.tower.client.workflow.getHandle(workflowId);
  const { run, dataset, images, proof } = (await handle.result()) as CharacterLoraResult;
  expect(images).toEqual({ planned: 2, accepted: 2, rejected: 0 });
  const plan = JSON.parse(await readFile(join(machine.tower.paths.runs, run, 'plan.json'), 'utf8')) as {
    images: { prompt: string; seed: number }[];
  };
  for (const [index, { prompt, seed }] of plan.images.entries()) {
    const rendered = await graphOf(join(dataset, 'images', `own_00${index + 1}.png`));
    expect(rendered).toMatchObject({
      '2': { inputs: { text: `masterpiece, ${prompt}` } },
      '3': { inputs: { text: 'my own negative' } },
      '4': { inputs: { width: 64, height: 64 } },
      '5': { inputs: { seed, sampler_name: 'euler', cfg: 5.5, scheduler: 'karras', model: ['40', 0] } },
      '40': { inputs: { ckpt_name: 'dreamshaper_8.safetensors' } },
    });
    expect(Object.keys(rendered).sort()).toEqual(Object.keys(ownGraph).sort());
  }

  expect(proof?.changedShare).toBeGreaterThan(0);
  expect(Object.keys(await graphOf(proof?.withoutLora ?? '')).sort()).toEqual(Object.keys(ownGraph).sort());
  const proven = await graphOf(proof?.withLora ?? '');
  const [added] = Object.keys(proven).filter((id) => !(id in ownGraph));
  expect(proven).toMatchObject({
    [String(added)]: { class_type: 'LoraLoader', inputs: { model: ['40', 0], clip: ['40', 1] } },
    '5': { inputs: { model: [added, 0] } },
    '2': { inputs: { clip: [added, 1] } },
  });
});

it.each([
  ['is not there', undefined, 'cannot be read as JSON'],
  ['is no JSON', '{"1": ', 'cannot be read as JSON'],
  ['is a workflow of the web page', '{"nodes": [], "links": []}', 'not a graph in API format'],
  ['leaves out the seed', JSON.stringify(ownGraph).replace('%seed%', '7'), 'lacks %seed%'],
])('a graph file that %s is refused by the command line, and nothing is started', async (_, content, reason) => {
  const file = join(machine.tower.home, 'wrong-graph.json');
  if (content !== undefined) await writeFile(file, content);
  const { exitCode, stdout } = await start('Wrong', '--graph', file);
  expect(exitCode).not.toBe(0);
  expect(JSON.parse(String(stdout))).toMatchObject({
    error: { code: 'GRAPH_INVALID', message: expect.stringContaining(reason) as string },
  });
  expect((await readdir(machine.datasets)).filter((name) => name.startsWith('Wrong'))).toEqual([]);
  await expect(machine.tower.client.workflow.getHandle('character-lora/wrong/1').describe()).rejects.toThrow();
});
