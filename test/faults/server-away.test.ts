import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, beforeAll, it } from 'vitest';

import { livingMembers } from '../../src/gpu/process-table.js';
import { DailyMachine } from '../support/daily-machine.js';
import { holdTrainer, releaseTrainer, TrainingDay } from '../support/training-day.js';
import { waitUntil } from '../support/wait-until.js';

/** `TOWER_TEST_SERVER_AWAY_SECONDS` makes it longer, for a look by hand. */
const awaySeconds = Number(process.env['TOWER_TEST_SERVER_AWAY_SECONDS'] ?? 0);

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create({ settings: { worker: { heartbeatSeconds: 0.5 } } });
});
afterAll(() => machine.close());

it('the Temporal server killed during training: the trainer goes on, and the result arrives', async () => {
  const training = await TrainingDay.start(machine, { day: 0, seconds: 4 });
  const launch = await training.atStep(5);
  await machine.tower.killServer();
  await holdTrainer(launch);
  await waitUntil('a worker that gives its activity up', hasGivenUp);
  await sleep(awaySeconds * 1000);
  await holdTrainer(launch);
  await machine.tower.startServer();
  await training.adopted();
  releaseTrainer(launch);
  await training.expectUndisturbed(launch);
});

it('the trainer ends while the Temporal server is away: its result arrives, and it is not trained again', async () => {
  const training = await TrainingDay.start(machine, { day: 1, seconds: 4 });
  const launch = await training.heldAt(20);
  await machine.tower.killServer();
  releaseTrainer(launch);
  await waitUntil('the end of the trainer', () => livingMembers(launch.process).length === 0);
  await machine.tower.startServer();
  await training.expectUndisturbed(launch);
});

it('the Temporal server and every worker killed, the trainer ends alone: the next workers find its result', async () => {
  const training = await TrainingDay.start(machine, { day: 2, seconds: 4 });
  const launch = await training.heldAt(20);
  await Promise.all([machine.tower.kill(training.gpu), machine.tower.kill(training.control)]);
  await machine.tower.killServer();
  releaseTrainer(launch);
  await waitUntil('the end of the trainer', () => livingMembers(launch.process).length === 0);
  await machine.tower.startServer();
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
  await training.expectUndisturbed(launch);
});

/** The first training of this machine, by the log. */
async function hasGivenUp(): Promise<boolean> {
  const lines = (await readFile(machine.tower.paths.logFile, 'utf8')).trim().split('\n');
  return lines
    .map((line) => JSON.parse(line) as { activity?: string; msg?: string })
    .some(({ activity, msg }) => activity === 'trainAdapter' && msg === 'activity cancelled');
}
