import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';

import { DailyMachine } from '../support/daily-machine.js';
import { expectTrainerAlive, TrainingDay } from '../support/training-day.js';

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create();
});
afterEach(() => machine.tower.stopWorkers());
afterAll(() => machine.close());

it('the GPU worker killed: the same trainer goes on, is adopted and finishes', async () => {
  const training = await TrainingDay.start(machine, { day: 0, seconds: 10 });
  const launch = await training.atStep(5);
  await machine.tower.kill(training.gpu);
  expectTrainerAlive(launch);
  await machine.tower.startGpu();
  await training.adopted();
  expectTrainerAlive(launch);
  await training.expectUndisturbed(launch);
});

it('the control worker killed: the training is not even interrupted', async () => {
  const training = await TrainingDay.start(machine, { day: 1, seconds: 6 });
  const launch = await training.atStep(5);
  await machine.tower.kill(training.control);
  await machine.tower.startControl();
  expect(await machine.trainingAtStep(50)).toMatchObject({ attempt: 1 });
  expectTrainerAlive(launch);
  await training.expectUndisturbed(launch);
});

it('both workers killed: the same trainer goes on, is adopted and finishes', async () => {
  const training = await TrainingDay.start(machine, { day: 2, seconds: 10 });
  const launch = await training.atStep(5);
  await Promise.all([machine.tower.kill(training.gpu), machine.tower.kill(training.control)]);
  expectTrainerAlive(launch);
  await Promise.all([machine.tower.startGpu(), machine.tower.startControl()]);
  await training.adopted();
  expectTrainerAlive(launch);
  await training.expectUndisturbed(launch);
});
