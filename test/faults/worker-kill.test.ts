import { afterAll, beforeAll, expect, it } from 'vitest';

import { DailyMachine } from '../support/daily-machine.js';
import { holdTrainer, releaseTrainer, TrainingDay } from '../support/training-day.js';

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create();
});
afterAll(() => machine.close());

it('the GPU worker killed: the same trainer goes on, is adopted and finishes', async () => {
  const training = await TrainingDay.start(machine, { day: 0, seconds: 4 });
  const launch = await training.atStep(5);
  await machine.tower.kill(training.gpu);
  await holdTrainer(launch);
  await machine.tower.startGpu();
  await training.adopted();
  releaseTrainer(launch);
  await training.expectUndisturbed(launch);
});

it('the control worker killed: the training is not even interrupted', async () => {
  const training = await TrainingDay.start(machine, { day: 1, seconds: 4 });
  const launch = await training.atStep(5);
  await machine.tower.kill(training.control);
  const step = await holdTrainer(launch);
  await machine.tower.startControl();
  expect(await machine.trainingAtStep(step)).toMatchObject({ attempt: 1 });
  releaseTrainer(launch);
  await training.expectUndisturbed(launch);
});

it('both workers killed: the same trainer goes on, is adopted and finishes', async () => {
  const training = await TrainingDay.start(machine, { day: 2, seconds: 4 });
  const launch = await training.atStep(5);
  await Promise.all([machine.tower.kill(training.gpu), machine.tower.kill(training.control)]);
  await holdTrainer(launch);
  await Promise.all([machine.tower.startGpu(), machine.tower.startControl()]);
  await training.adopted();
  releaseTrainer(launch);
  await training.expectUndisturbed(launch);
});
