import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { failureOf } from '../../src/cli/runs/workflow-failure.js';
import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { CharacterMachine } from '../support/character-machine.js';
import { picture } from '../support/character-run.js';
import { waitUntil } from '../support/wait-until.js';

let machine: CharacterMachine;

beforeAll(async () => {
  machine = await CharacterMachine.create();
  // Every run here ends or waits before it would need the GPU.
  await machine.tower.startControl();
});
afterAll(() => machine.close());

async function datasetOf(name: string): Promise<string> {
  const folder = join(machine.tower.home, name);
  for (const index of [1, 2, 3]) await picture(join(folder, 'images', `a_${index}.png`), index);
  return folder;
}

function start(name: string, dataset: string, fields: Readonly<Record<string, unknown>> = {}) {
  const shared = { name, trigger: `${name}_xk`, dataset, count: undefined, stages: ['tag', 'train'], review: true };
  return machine.start({ ...shared, ...fields });
}

/** How a run ends, as far as it does so by itself. */
async function codeOf(handle: CharacterLoraHandle): Promise<string> {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError)) return 'it has not failed';
  return failureOf(error.cause).code;
}

const captionIn = (dataset: string) => readFile(join(dataset, 'images', 'a_1.txt'), 'utf8');

it('W26: a run that would write other captions into a folder in use is refused, and named its user', async () => {
  const dataset = await datasetOf('used');
  const first = await start('first', dataset);
  await machine.stage(first.workflowId, 'review');
  expect(await codeOf(await start('second', dataset))).toBe('DATASET_IN_USE');
  expect(await captionIn(dataset)).toMatch(/^first_xk, /);
  // The same captions, for a training with other options.
  const twin = await start('twin', dataset, { trigger: 'first_xk', stages: ['tag'], review: false });
  await expect(twin.result()).resolves.toMatchObject({ captions: { images: 3 } });

  await first.cancel();
  await expect(first.result()).rejects.toThrow(WorkflowFailedError);
  const later = await start('second', dataset, { stages: ['tag'], review: false });
  await expect(later.result()).resolves.toMatchObject({ captions: { images: 3 } });
  expect(await captionIn(dataset)).toMatch(/^second_xk, /);
});

it('W26: of two that come at the same moment one has the folder', async () => {
  const dataset = await datasetOf('raced');
  const handles = await Promise.all(['ann', 'bea', 'cat'].map((name) => start(name, dataset)));
  const stands = await waitUntil('one at its review, and the end of the others', async () => {
    const snapshots = await Promise.all(
      handles.map(({ workflowId }) => takeSnapshot(machine.tower.client, workflowId)),
    );
    return snapshots.every(({ status, stage }) => status !== 'running' || stage === 'review') && snapshots;
  });
  expect(stands.map(({ status }) => status).sort()).toEqual(['failed', 'failed', 'running']);
  const [one] = handles.filter((_, index) => stands[index]?.status === 'running');
  const others = handles.filter((handle) => handle !== one);
  expect(await Promise.all(others.map(codeOf))).toEqual(['DATASET_IN_USE', 'DATASET_IN_USE']);
  expect(await captionIn(dataset)).toMatch(new RegExp(`^${one?.workflowId.split('/')[1] ?? 'nobody'}_xk, `));
  await one?.cancel();
  await expect(one?.result()).rejects.toThrow(WorkflowFailedError);
});
