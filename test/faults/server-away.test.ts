import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, it } from 'vitest';

import { livingMembers } from '../../src/gpu/process-table.js';
import { DailyMachine } from '../support/daily-machine.js';
import { expectTrainerAlive, TrainingDay } from '../support/training-day.js';
import { waitUntil } from '../support/wait-until.js';

/** `TOWER_TEST_SERVER_AWAY_SECONDS` makes it longer, for a look by hand. */
const awaySeconds = Number(process.env['TOWER_TEST_SERVER_AWAY_SECONDS'] ?? 10);

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create();
});
afterEach(() => machine.tower.stopWorkers());
afterAll(() => machine.close());

it('the Temporal server killed during training: the trainer goes on, and the result arrives', async () => {
  // Workers that were long refused ask again every ten seconds.
  const training = await TrainingDay.start(machine, { day: 0, seconds: awaySeconds + 15 });
  const launch = await training.atStep(5);
  await machine.tower.killServer();
  // The time itself is under test: long enough for workers to give their activities up.
  await sleep(awaySeconds * 1000);
  expectTrainerAlive(launch);
  await machine.tower.startServer();
  await training.adopted();
  expectTrainerAlive(launch);
  await training.expectUndisturbed(launch);
});

it('the trainer ends while the Temporal server is away: its result arrives, and it is not trained again', async () => {
  const training = await TrainingDay.start(machine, { day: 1, seconds: 6 });
  const launch = await training.atStep(20);
  await machine.tower.killServer();
  await waitUntil('the end of the trainer', () => livingMembers(launch.process).length === 0);
  await machine.tower.startServer();
  await training.expectUndisturbed(launch);
});

it('the Temporal server and every worker killed, the trainer ends alone: the next workers find its result', async () => {
  const training = await TrainingDay.start(machine, { day: 2, seconds: 4 });
  const launch = await training.atStep(20);
  await Promise.all([machine.tower.kill(training.gpu), machine.tower.kill(training.control)]);
  await machine.tower.killServer();
  await waitUntil('the end of the trainer', () => livingMembers(launch.process).length === 0);
  await machine.tower.startServer();
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
  await training.expectUndisturbed(launch);
});
