import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { readProcess } from '../../src/gpu/process-table.js';
import { listLivingWorkers } from '../../src/temporal/living-workers.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';

/** A machine whose `nvidia-smi` finds no driver, as after an update of the kernel. */
let machine: DailyMachine;
let folder: string;
let nvidiaSmi: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  nvidiaSmi = join(folder, 'nvidia-smi');
  await answer('echo "NVIDIA-SMI has failed"; exit 9');
  machine = await DailyMachine.create({ serverless: true, settings: { gpu: { nvidiaSmi, devices: 'auto' } } });
});
afterAll(async () => {
  await machine.close();
  await rm(folder, { recursive: true, force: true });
});

/** What `nvidia-smi` does from now on; one that runs is left as it is. */
async function answer(script: string): Promise<void> {
  await writeFile(`${nvidiaSmi}.new`, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  await rename(`${nvidiaSmi}.new`, nvidiaSmi);
}

async function trainingThatWaits({ tower }: DailyMachine): Promise<void> {
  const training = await waitUntil('a training that waits', async () => {
    const { activities } = await takeSnapshot(tower.client, 'daily-cycle');
    return activities.find(({ activity, lastFailure }) => activity === 'trainAdapter' && lastFailure !== null);
  });
  expect(training.lastFailure).toMatchObject({ code: 'NVIDIA_SMI_FAILED' });
}

async function workerOf(queue: string, { tower }: DailyMachine): Promise<number> {
  const worker = await waitUntil(`a worker of ${queue}`, async () =>
    (await listLivingWorkers(tower.client)).find((living) => living.queue === queue),
  );
  return Number(worker.identity.split(':').at(-1));
}

it('without the driver of the GPU Tower is up, everything goes on until a training needs it, and GPUs that it names later are served', async () => {
  const up = await machine.tower.startUp();
  expect(up.ready.workers).toMatchObject([{ name: 'control' }, { name: 'gpu-0' }]);
  await machine.uploadDay(0);
  await machine.startCycle();
  await trainingThatWaits(machine);
  await answer(
    'case "$1" in --query-gpu=*) for gpu in 0 1; do echo "$gpu, GPU-$gpu, Simulated GPU, 24564, 500"; done ;; esac',
  );
  const late = await workerOf('gpu-box-1', machine);
  up.signal('SIGINT');
  const { exitCode, stderr } = await up.ended;
  expect(exitCode).toBe(0);
  expect(readProcess(late)?.alive ?? false).toBe(false);
  expect(stderr).toMatch(/Work on the GPU waits: .*NVIDIA-SMI has failed.*set `gpu.nvidiaSmi` to `none`/s);
});

it('a run that begins while the driver is silent takes a GPU that is served', async () => {
  await answer('exit 9');
  const other = await DailyMachine.create({ settings: { gpu: { nvidiaSmi, devices: 'auto' } } });
  try {
    await Promise.all([other.tower.startControl(), other.tower.startGpu(1)]);
    await workerOf('gpu-box-1', other);
    await other.uploadDay(0);
    await other.startCycle();
    await trainingThatWaits(other);
  } finally {
    await other.close();
  }
});
