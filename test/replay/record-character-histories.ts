import { afterAll, beforeAll, expect, it } from 'vitest';

import { pauseRun, resumeRun, startCharacterLora } from '../../src/client.js';
import { approveUpdateName, characterSlotsWorkflowId, slotsQuery } from '../../src/workflows/names.js';
import type { SlotState } from '../../src/workflows/slot-queue.js';
import { CharacterMachine } from '../support/character-machine.js';
import { waitUntil } from '../support/wait-until.js';
import { writeHistory } from './write-history.js';

/** Run by `npm run record-histories`, not by the tests. */

const small = { count: 2, kohya: { max_train_epochs: 3 } };
let machine: CharacterMachine;

beforeAll(async () => {
  machine = await CharacterMachine.create({
    comfyui: { renderMs: 100 },
    settings: { character: { maxConcurrent: 2 }, train: { simulatedSecondsPerStep: 0.3 } },
  });
  await machine.tower.startControl();
  await machine.tower.startGpu();
});
afterAll(() => machine.close());

async function record(name: string, workflowId: string): Promise<void> {
  await writeHistory(machine.tower.client, name, workflowId);
}

it('a run to its end, and one that waits for a place', async () => {
  const first = await machine.start(small);
  const second = await machine.start({ ...small, name: 'Second', stages: ['generate', 'tag'] });
  const third = await machine.start({ ...small, name: 'Third', stages: ['generate'] });
  await Promise.all([first, second, third].map((handle) => handle.result()));
  await record('character-lora', first.workflowId);
  await record('character-lora-waited', third.workflowId);
  await record('character-slots', characterSlotsWorkflowId);
});

it('a run with a review and two pauses', async () => {
  const { client } = machine.tower;
  await machine.change({ renderMs: 2_000 });
  const handle = await machine.start({ ...small, name: 'Paused', review: true });
  await machine.accepted(handle.workflowId, 1);
  await pauseRun(client, handle.workflowId);
  await machine.change({ renderMs: 100 });
  await resumeRun(client, handle.workflowId);
  await machine.stage(handle.workflowId, 'review');
  const decide = (decision: object) => handle.executeUpdate(approveUpdateName, { args: [decision] });
  await decide({ approve: false, reject: [{ index: 1 }] });
  await machine.stage(handle.workflowId, 'review');
  await decide({ approve: true, captions: [{ index: 2, caption: 'paused, recorded' }] });
  await machine.trainingAtStep(handle.workflowId, 1);
  await pauseRun(client, handle.workflowId);
  await resumeRun(client, handle.workflowId);
  await handle.result();
  await record('character-lora-reviewed', handle.workflowId);
});

// `character-lora-decided-before` is of a Tower that did not count the images after a decision: it cannot be recorded anew.
it('a run that is approved without some of its images', async () => {
  const handle = await machine.start({
    ...small,
    count: 3,
    minImages: 1,
    name: 'Decided',
    stages: ['generate', 'tag'],
    review: true,
  });
  await machine.stage(handle.workflowId, 'review');
  await handle.executeUpdate(approveUpdateName, { args: [{ approve: true, reject: [{ index: 2 }] }] });
  await handle.result();
  await record('character-lora-decided', handle.workflowId);
});

it('a run that is paused while it is prepared, and in its proof', async () => {
  const { client } = machine.tower;
  await machine.change({ wedged: 'http' });
  const handle = await machine.start({ ...small, name: 'Rested' });
  const { workflowId } = handle;
  await machine.activity(workflowId, 'prepareCharacter', ({ state }) => state === 'running');
  const slots = client.workflow.getHandle(characterSlotsWorkflowId);
  const hasPlace = async () =>
    (await slots.query<SlotState>(slotsQuery)).holders.some((holder) => holder.workflowId === workflowId);
  await pauseRun(client, workflowId);
  // Work that a pause does not interrupt keeps the place of its run.
  expect(await hasPlace()).toBe(true);
  await machine.change({ wedged: 'none' });
  await waitUntil('the end of the preparation', async () => !(await hasPlace().catch(() => false)));
  await resumeRun(client, workflowId);
  await machine.trainingAtStep(workflowId, 1);
  await machine.change({ renderMs: 5_000 });
  await machine.activity(workflowId, 'proveLora', ({ state }) => state === 'running');
  await pauseRun(client, workflowId);
  expect(await machine.isGpuHeld()).toBe(false);
  await machine.change({ renderMs: 100 });
  await resumeRun(client, workflowId);
  await handle.result();
  await record('character-lora-rested', workflowId);
});

it('a run that goes on after its review', async () => {
  const first = await machine.start({ ...small, name: 'Seen', stages: ['generate', 'tag'], review: true });
  await machine.stage(first.workflowId, 'review');
  await first.executeUpdate(approveUpdateName, { args: [{ approve: true }] });
  const { run } = await first.result();
  const next = await startCharacterLora(machine.tower.client, { run });
  await next.result();
  await record('character-lora-approved', next.workflowId);
});

it('runs that were cancelled or failed', async () => {
  await machine.change({ renderMs: 5_000 });
  const cancelled = await machine.start({ ...small, name: 'Cancelled' });
  await machine.activity(cancelled.workflowId, 'renderCharacter', ({ state }) => state === 'running');
  await cancelled.cancel();
  await cancelled.result().catch(() => undefined);
  await record('character-lora-cancelled', cancelled.workflowId);
  await machine.change({ renderMs: 100 });
  const failed = await machine.start({ ...small, name: 'Failed', checkpoint: 'unknown.safetensors' });
  await failed.result().catch(() => undefined);
  await record('character-lora-failed', failed.workflowId);
});

// `character-lora-timed-out-before` is of a Tower that did not ask what the stage waited for: it cannot be recorded anew.
it('a run whose rendering took too long', async () => {
  await machine.change({ renderMs: 5_000 });
  const late = await machine.start({ ...small, name: 'Late', limits: { generate: { timeoutMinutes: 0.05 } } });
  await late.result().catch(() => undefined);
  await record('character-lora-timed-out', late.workflowId);
});
