import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { startConsumePrompts } from '../../src/client.js';
import { gpuQueue } from '../../src/temporal/task-queues.js';
import type { renderAll } from '../support/gpu-workflows.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { quietRuntime, TestWorker } from '../support/test-worker.js';
import { waitUntil } from '../support/wait-until.js';

let machine: SyntxMachine;
let urgentWork: TestWorker;

beforeAll(async () => {
  quietRuntime();
  machine = await SyntxMachine.create({ inMemory: true });
  await machine.configure({ syntx: { consume: { gpu: 0 } } });
  const environment = {
    NODE_OPTIONS: `--import=${fileURLToPath(new URL('fixtures/troubled-worker.mjs', import.meta.url))}`,
    TOWER_TEST_TROUBLE: join(machine.root, 'trouble'),
    TOWER_TEST_TROUBLED: machine.queue,
  };
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu(0, environment)]);
  urgentWork = await TestWorker.start(machine.tower.server.address, {
    taskQueue: 'test',
    workflowsPath: fileURLToPath(new URL('../support/gpu-workflows.ts', import.meta.url)),
  });
});
afterAll(async () => {
  await urgentWork.stop();
  await machine.close();
});

it('an answer that a full disk does not take leaves the GPU to more urgent work, and is not asked for again', async () => {
  const { client } = machine.tower;
  await machine.tick({ kind: 'produce', batch: 1, force: true });
  // From its second call on: the first one makes sure of the directory.
  await writeFile(join(machine.root, 'trouble'), `ENOSPC ${join(machine.queue, '.tower', 'answers')} 1`);
  const run = await startConsumePrompts(client, { wrapper: 'sigma', batch: 1 });
  const prompt = async () => (await takeSnapshot(client, run.workflowId)).activities[0];
  await waitUntil('the answer', async () => (await prompt())?.progress?.stage?.startsWith('keeping the answer'));
  // No worker knows this activity: that it was tried shows that the slot was free.
  const urgent = await client.workflow.start<typeof renderAll>('renderAll', {
    ...{ taskQueue: 'test', workflowId: 'urgent' },
    args: [{ gpuQueue: gpuQueue('box', 0), priority: 2, run: 'urgent', images: ['image'] }],
  });
  await waitUntil('urgent work on the GPU', async () => {
    const { raw } = await urgent.describe();
    return raw.pendingActivities?.some(({ lastFailure }) => lastFailure != null);
  });
  await urgent.terminate();
  await rm(join(machine.root, 'trouble'));
  expect(await run.result()).toMatchObject({ claimed: 1, unscored: 0, lost: 0 });
  expect(machine.service.calls()).toHaveLength(1);
  expect(await machine.faults()).toEqual([]);
});
