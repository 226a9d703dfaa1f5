import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { failureOf } from '../../src/cli/runs/workflow-failure.js';
import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { namesIn } from '../../src/files/absent.js';
import { CharacterMachine } from '../support/character-machine.js';
import { picture } from '../support/character-run.js';

let machine: CharacterMachine;

beforeAll(async () => {
  machine = await CharacterMachine.create();
  // Nobody offers a GPU: whatever ends here ends before its turn.
  await machine.tower.startControl();
});
afterAll(() => machine.close());

/** A folder with these pictures and a caption for each. */
async function datasetOf(name: string, pictures: readonly string[]): Promise<string> {
  const dataset = join(machine.tower.home, name);
  await mkdir(join(dataset, 'images'), { recursive: true });
  for (const [index, file] of pictures.entries()) {
    await picture(join(dataset, 'images', file), index);
    await writeFile(join(dataset, 'images', file.replace(/\.png$/, '.txt')), 'by hand');
  }
  return dataset;
}

async function failure(handle: CharacterLoraHandle) {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError)) throw new Error('it has not failed');
  return failureOf(error.cause);
}

it('a training finds a broken image and an empty caption before it waits for the GPU (W15, W21)', async () => {
  const dataset = await datasetOf('broken', ['a_1.png', 'a_2.png', 'a_3.png']);
  await writeFile(join(dataset, 'images', 'a_1.txt'), '\n');
  await writeFile(join(dataset, 'images', 'a_3.png'), 'no picture');
  const handle = await machine.start({ name: 'Broken', dataset, count: undefined, stages: ['train'] });
  const { code, message } = await failure(handle);
  expect(code).toBe('KOHYA_DATASET_INVALID');
  expect(message).toMatch(/a_1\.txt: the caption is empty.*a_3\.png: the image does not decode/);
});

it('a training alone is refused with fewer images than minImages (W8)', async () => {
  const dataset = await datasetOf('few', ['a_1.png', 'a_2.png', 'a_3.png']);
  const job = { name: 'Few', dataset, count: undefined, stages: ['train'], minImages: 4 };
  const { code, message } = await failure(await machine.start(job));
  expect([code, message]).toEqual(['TOO_FEW_IMAGES', '3 images are in the dataset, at least 4 are needed']);
});

it('a run whose dataset was moved says so when it is to go on, and goes on once it is back (W11)', async () => {
  const dataset = await datasetOf('moved', ['a_1.png', 'a_2.png']);
  const job = { name: 'Moved', dataset, count: undefined, stages: ['tag'] };
  const { run } = await (await machine.start(job)).result();
  await rename(dataset, `${dataset}-away`);
  const { code, message, next } = await failure(await machine.start(job, { run }));
  expect([code, message]).toEqual(['DATASET_MISSING', expect.stringContaining(dataset)]);
  expect(next).toContain('where it was');
  await rename(`${dataset}-away`, dataset);
  await expect((await machine.start(job, { run })).result()).resolves.toMatchObject({ captions: { images: 2 } });
});

it('in a review, an image of any name can be rejected by its number on the contact sheet', async () => {
  const dataset = await datasetOf('mixed', ['front_1.png', 'photo_50.png', 'side.png', 'side_1.png']);
  const handle = await machine.start({ name: 'Mixed', dataset, count: undefined, stages: ['tag'], review: true });
  await machine.stage(handle.workflowId, 'review');
  const approve = (reject: string) =>
    machine.tower.tower('character', 'approve', 'mixed/1', '--reject', reject, '--final', '--json');
  const refused = await approve('54');
  expect(refused.exitCode).toBe(6);
  expect((await takeSnapshot(machine.tower.client, handle.workflowId)).stage).toBe('review');
  expect((await approve('50,52')).exitCode).toBe(0);
  await expect(handle.result()).resolves.toMatchObject({ captions: { images: 2 } });
  expect((await namesIn(join(dataset, 'rejected'))).sort()).toEqual([
    ...['photo_50-1.png', 'photo_50-1.txt', 'side-1.png', 'side-1.txt'],
  ]);
});
