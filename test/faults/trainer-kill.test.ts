import { readdir } from 'node:fs/promises';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { livingMembers } from '../../src/gpu/process-table.js';
import { DailyMachine } from '../support/daily-machine.js';
import { releaseTrainer, TrainingDay } from '../support/training-day.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create({ settings: { worker: { heartbeatSeconds: 0.5 } } });
});
afterAll(() => machine.close());

it('the trainer killed: a second one goes on from the newest complete checkpoint', async () => {
  const training = await TrainingDay.start(machine, { day: 0, seconds: 4 });
  const { process: killed } = await training.heldAt(45);
  process.kill(killed.trainerPid ?? 0, 'SIGKILL');

  const { launches, redoneSteps } = await training.wholeResult();

  expect(launches).toBe(2);
  expect(redoneSteps).toBeGreaterThan(0);
  const [first, second] = await training.launches();
  expect(first).toMatchObject({ exit: { signal: 'SIGKILL' }, fault: { class: 'killed' } });
  expect(second?.spec.resume?.step).toBeGreaterThanOrEqual(40);
  const { segments } = (await training.settled()).steps;
  expect(segments.map(({ launch }) => launch)).toEqual([1, 2]);
  expect(livingMembers(killed)).toEqual([]);
});

it('launcher and trainer killed at once: a second one goes on', async () => {
  const training = await TrainingDay.start(machine, { day: 1, seconds: 4 });
  const { process: killed } = await training.heldAt(45);
  process.kill(-killed.processGroup, 'SIGKILL');

  const { launches, redoneSteps } = await training.wholeResult();

  expect(launches).toBe(2);
  expect(redoneSteps).toBeGreaterThan(0);
  const [first, second] = await training.launches();
  expect(first?.exit).toBeUndefined();
  expect(first?.fault?.class).toBe('killed');
  expect(second?.spec.resume?.step).toBeGreaterThanOrEqual(40);
});

it('only the launcher killed: its trainer is followed to its end', async () => {
  const training = await TrainingDay.start(machine, { day: 2, seconds: 4 });
  const launch = await training.heldAt(5);
  process.kill(launch.process.pid, 'SIGKILL');
  releaseTrainer(launch);
  await training.expectUndisturbed(launch);
  expect(await machine.gpuState()).toMatchObject({ held: false });
});

it('killed while it saved: the torn checkpoint is set aside, and the one before it counts', async () => {
  const fault = { kind: 'torn-checkpoint', atStep: 51, onlyOnLaunch: 1 } as const;
  const training = await TrainingDay.start(machine, { day: 3, seconds: 4, fault });

  expect(await training.wholeResult()).toMatchObject({ launches: 2, redoneSteps: 10 });

  const [, second] = await training.launches();
  expect(second?.spec.resume?.step).toBe(40);
  expect((await training.settled()).steps.segments).toEqual([
    { launch: 1, from: 1, to: 40 },
    { launch: 2, from: 41, to: 100 },
  ]);
  const { run } = training;
  expect(await readdir(run.broken)).toEqual([expect.stringMatching(/^checkpoint-50-/)]);
  expect(await readdir(run.output)).not.toContain('checkpoint-50');
});

it('trainer and both workers killed: the next workers find it dead and go on', async () => {
  const training = await TrainingDay.start(machine, { day: 4, seconds: 4 });
  const { process: killed } = await training.heldAt(45);
  await Promise.all([machine.tower.kill(training.gpu), machine.tower.kill(training.control)]);
  process.kill(-killed.processGroup, 'SIGKILL');
  await waitUntil('its end', () => livingMembers(killed).length === 0);
  await Promise.all([machine.tower.startGpu(), machine.tower.startControl()]);

  const { launches, redoneSteps } = await training.wholeResult();

  expect(launches).toBe(2);
  expect(redoneSteps).toBeGreaterThan(0);
});
