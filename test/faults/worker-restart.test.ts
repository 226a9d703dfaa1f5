import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { DailyMachine } from '../support/daily-machine.js';
import { holdTrainer, releaseTrainer, TrainingDay } from '../support/training-day.js';

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create({ settings: { worker: { heartbeatSeconds: 0.5 } } });
});
afterAll(() => machine.close());

it('SIGTERM of both workers leaves the training alone; the next ones adopt it', async () => {
  const training = await TrainingDay.start(machine, { day: 0, seconds: 4 });
  const launch = await training.atStep(5);
  await holdTrainer(launch);
  await machine.tower.stopWorkers();
  await holdTrainer(launch);
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
  await training.adopted();
  releaseTrainer(launch);
  await training.expectUndisturbed(launch);
});

it('five restarts of the GPU worker, in order and by kill -9, cost a training nothing', async () => {
  const training = await TrainingDay.start(machine, { day: 1, seconds: 4 });
  const launch = await training.atStep(1);
  await holdTrainer(launch);
  const watching = machine.tower.tower('watch', 'daily-cycle');
  let { gpu } = training;
  for (const end of ['stop', 'kill', 'stop', 'kill', 'stop'] as const) {
    const { attempt } = await machine.trainingAtStep(1);
    await machine.tower[end](gpu);
    await holdTrainer(launch);
    gpu = await machine.tower.startGpu();
    await machine.trainingAtAttempt(attempt + 1);
  }
  releaseTrainer(launch);
  await training.expectUndisturbed(launch);
  const { exitCode, stderr } = await watching;
  expect(exitCode).toBe(0);
  expect(stderr).not.toContain('Warning');
});

it('a GPU worker with another lock directory does not start while a training lives under the old one', async () => {
  const training = await TrainingDay.start(machine, { day: 2, seconds: 4 });
  const launch = await training.atStep(1);
  await holdTrainer(launch);
  // A run of which nobody can tell keeps nobody from that.
  const damaged = join(machine.tower.paths.runs, 'damaged', 'launches', '0001');
  await mkdir(damaged, { recursive: true });
  await writeFile(join(damaged, 'process.json'), '{');
  expect((await machine.tower.tower('status')).stderr).toBe('');
  await machine.tower.stop(training.gpu);
  await machine.configure({ gpu: { lockDirectory: join(machine.tower.home, 'elsewhere') } });
  const moved = await machine.tower.tower('worker', '--role', 'gpu');
  expect(moved.exitCode).toBe(6);
  expect(moved.stderr).toMatch(/gpu-0\.lock.*GPU_LOCK_MOVED.*Set `gpu\.lockDirectory` back/s);
  // The same file by another way is the same lock.
  const link = join(machine.tower.home, 'link');
  await symlink(dirname(machine.tower.gpuLock(0)), link);
  await machine.configure({ gpu: { lockDirectory: link } });
  await machine.tower.startGpu();
  releaseTrainer(launch);
  await training.expectUndisturbed(launch);
});
