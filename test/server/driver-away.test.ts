import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';

/** A machine whose `nvidia-smi` finds no driver, as after an update of the kernel. */
let machine: DailyMachine;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  const nvidiaSmi = join(folder, 'nvidia-smi');
  await writeFile(nvidiaSmi, '#!/bin/sh\necho "NVIDIA-SMI has failed"\nexit 9\n', { mode: 0o755 });
  machine = await DailyMachine.create({ serverless: true, settings: { gpu: { nvidiaSmi, devices: 'auto' } } });
});
afterAll(async () => {
  await machine.close();
  await rm(folder, { recursive: true, force: true });
});

it('without the driver of the GPU Tower is up, and everything goes on until a training needs the GPU', async () => {
  const up = await machine.tower.startUp();
  expect(up.ready.workers).toMatchObject([{ name: 'control' }, { name: 'gpu-0' }]);
  await machine.uploadDay(0);
  await machine.startCycle();
  const training = await waitUntil('a training that waits', async () => {
    const { activities } = await takeSnapshot(machine.tower.client, 'daily-cycle');
    return activities.find(({ activity, lastFailure }) => activity === 'trainAdapter' && lastFailure !== null);
  });
  expect(training.lastFailure).toMatchObject({ code: 'NVIDIA_SMI_FAILED' });
  up.signal('SIGINT');
  const { exitCode, stderr } = await up.ended;
  expect(exitCode).toBe(0);
  expect(stderr).toMatch(/Work on the GPU waits: .*NVIDIA-SMI has failed.*set `gpu.nvidiaSmi` to `none`/s);
});
