import { readFile } from 'node:fs/promises';

import { CancelledFailure, type WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { livingMembers } from '../../src/gpu/process-table.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;
let gpu: GuardedProcess;

const deafAtStep = 12;
const logicalTimes = ['2026-01-12T13:00:00.000Z', '2026-01-12T14:00:00.000Z', '2026-01-12T15:00:00.000Z'] as const;

beforeAll(async () => {
  machine = await DailyMachine.create({
    settings: { train: { simulatedSecondsPerStep: 0.2, hyperparameters: { checkpointEverySteps: 10 } } },
    environment: {
      TOWER_SIMULATED_TRAINER_FAULT: JSON.stringify({
        kind: 'ignore-sigterm-with-grandchild',
        atStep: deafAtStep,
        onlyOnLaunch: 1,
      }),
    },
  });
  await machine.tower.startControl();
  gpu = await machine.tower.startGpu();
  await machine.uploadDay(0);
});
afterAll(() => machine.close());

it('leaves no process of a trainer that ignores SIGTERM and has a child, and frees the GPU', async () => {
  const cycle = await machine.startCycle({ logicalTime: logicalTimes[0] });
  const launch = await machine.livingLaunch();
  await waitUntil('a deaf trainer', async () =>
    (await readFile(launch.files.stderr, 'utf8')).includes('ignore SIGTERM'),
  );
  // Launcher, trainer, and the trainer's child.
  expect(livingMembers(launch.process)).toHaveLength(3);

  await cycle.cancel();
  const error: unknown = await cycle.result().catch((reason: unknown) => reason);

  expect((error as WorkflowFailedError).cause).toBeInstanceOf(CancelledFailure);
  expect(livingMembers(launch.process)).toEqual([]);
  expect(await machine.gpuState()).toMatchObject({ held: false });
  expect(machine.lastCycle()).toMatchObject({ logicalTime: logicalTimes[0], outcome: 'cancelled' });
});

it('stops the trainer although its GPU worker was killed before, and the cycle counts as cancelled', async () => {
  const cycle = await machine.startCycle({ logicalTime: logicalTimes[1] });
  await machine.trainingAtStep(15);
  const launch = await machine.livingLaunch();
  expect(launch.spec).toMatchObject({ generation: 1, resume: { step: 10 } });
  await machine.tower.kill(gpu);
  expect(livingMembers(launch.process)).toHaveLength(2);

  const { exitCode, stdout } = await machine.tower.tower('cancel', 'daily-cycle', '--json');

  expect({ exitCode, outcome: JSON.parse(String(stdout)) as unknown }).toMatchObject({
    exitCode: 0,
    outcome: { status: 'cancelled', failure: { code: 'CANCELLED' } },
  });
  expect((await cycle.describe()).status.name).toBe('CANCELLED');
  expect(livingMembers(launch.process)).toEqual([]);
  expect(await machine.gpuState()).toMatchObject({ held: false });
  expect(machine.lastCycle()).toMatchObject({ logicalTime: logicalTimes[1], outcome: 'cancelled' });
});

it('goes on with the unfinished run in the next cycle, from its checkpoint and under its own version', async () => {
  gpu = await machine.tower.startGpu();
  const cycle = await machine.startCycle({ logicalTime: logicalTimes[2] });

  const { training, reason } = await cycle.result();

  expect(reason).toBe('goes on with adapter_ft_20260112_130000, which did not finish');
  expect(training).toMatchObject({ version: 'adapter_ft_20260112_130000', launches: 3 });
  expect(training?.executedSteps).toBe(training?.plannedSteps);
  const launches = await machine.launches();
  expect(launches.map(({ spec }) => spec.generation)).toEqual([0, 1, 2]);
  const resumed = launches.map(({ spec }) => spec.resume?.step ?? 0);
  expect(resumed[2]).toBeGreaterThanOrEqual(10);
  expect(machine.lastCycle()).toMatchObject({ logicalTime: logicalTimes[2], outcome: 'trained' });
});
