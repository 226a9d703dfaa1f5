import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { takeSnapshot, type ActivitySnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { pauseRun, resumeRun } from '../../src/client.js';
import { livingMembers } from '../../src/gpu/process-table.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import type { dailyCycle } from '../../src/workflows/daily-cycle.js';
import { DailyMachine } from '../support/daily-machine.js';
import { testTemporalCli } from '../support/temporal-cli.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;
let gpu: GuardedProcess;

beforeAll(async () => {
  machine = await DailyMachine.create({
    // No state on the way: whatever a pause goes on from, the pause has made the trainer save.
    settings: { train: { simulatedSecondsPerStep: 0.2, hyperparameters: { checkpointEverySteps: 1000 } } },
  });
  await machine.tower.startControl();
  await machine.uploadDay(0);
});
afterAll(() => machine.close());

async function tower(...args: string[]): Promise<{ exitCode: number | undefined; value: unknown }> {
  const { exitCode, stdout } = await machine.tower.tower(...args, '--json');
  return { exitCode, value: JSON.parse(String(stdout)) as unknown };
}

async function activityCommand(command: 'pause' | 'unpause'): Promise<void> {
  const { path } = await testTemporalCli();
  const { raw } = await machine.tower.client.workflow.getHandle('daily-cycle').describe();
  const activityId = raw.pendingActivities?.[0]?.activityId ?? '';
  const target = ['--workflow-id', 'daily-cycle', '--activity-id', activityId];
  await execa(path, ['activity', command, ...target, '--address', machine.tower.server.address]);
}

function pendingTraining(state: ActivitySnapshot['state']): Promise<ActivitySnapshot> {
  return waitUntil(`a training that is ${state}`, async () => {
    const { activities } = await takeSnapshot(machine.tower.client, 'daily-cycle');
    return activities.find((pending) => pending.activity === 'trainAdapter' && pending.state === state);
  });
}

async function expectFreeGpu(): Promise<void> {
  expect(await machine.gpuState()).toEqual({ held: false, holder: null });
  for (const { process } of await machine.launches()) expect(livingMembers(process)).toEqual([]);
}

it('pauses while the training still waits for the GPU; cancel ends the paused run', async () => {
  const cycle = await machine.startCycle({ logicalTime: '2026-01-12T13:00:00.000Z' });
  await pendingTraining('waiting');

  expect(await tower('pause', 'daily-cycle')).toEqual({
    exitCode: 0,
    value: { workflowId: 'daily-cycle', state: 'idle', step: 0 },
  });
  gpu = await machine.tower.startGpu();
  await waitUntil('no training any more', async () => {
    const { activities, status } = await takeSnapshot(machine.tower.client, 'daily-cycle');
    return status === 'paused' && activities.length === 0;
  });
  expect(await tower('cancel', 'daily-cycle')).toMatchObject({ exitCode: 0, value: { status: 'cancelled' } });

  expect((await cycle.describe()).status.name).toBe('CANCELLED');
  expect(machine.lastCycle()).toMatchObject({ outcome: 'cancelled' });
  expect(await machine.launches()).toEqual([]);
});

it('pauses after a complete state, refuses a second pause, and goes on where it stopped', async () => {
  await machine.startCycle({ logicalTime: '2026-01-12T14:00:00.000Z' });
  await machine.trainingAtStep(3);

  const saved = await pauseRun(machine.tower.client, 'daily-cycle');

  expect(saved.state).toBe('saved');
  expect(saved.step).toBeGreaterThanOrEqual(3);
  await expectFreeGpu();
  await expect(pauseRun(machine.tower.client, 'daily-cycle')).rejects.toMatchObject({ code: 'ALREADY_PAUSED' });

  await resumeRun(machine.tower.client, 'daily-cycle');
  expect((await machine.livingLaunch()).spec.resume).toMatchObject({ step: saved.step });
  await expect(resumeRun(machine.tower.client, 'daily-cycle')).rejects.toMatchObject({ code: 'NOT_PAUSED' });
  await machine.trainingAtStep(saved.step + 2);
});

it('pauses although the GPU worker was killed, and resumes with the next one', async () => {
  await machine.tower.kill(gpu);

  const { exitCode, value } = await tower('pause', 'daily-cycle');

  expect({ exitCode, value }).toMatchObject({ exitCode: 0, value: { state: 'saved' } });
  await expectFreeGpu();
  expect(await tower('resume', 'daily-cycle')).toMatchObject({ exitCode: 0, value: { state: 'resumed' } });
  gpu = await machine.tower.startGpu();
  const { step } = value as { step: number };
  expect((await machine.livingLaunch()).spec.resume).toMatchObject({ step });
  await machine.trainingAtStep(step + 2);
});

it('obeys `temporal activity pause` after a complete state, and goes on after `unpause`', async () => {
  const before = await machine.launches();
  await activityCommand('pause');

  expect(await pendingTraining('paused')).toMatchObject({ lastFailure: { code: 'PAUSED' } });
  await expectFreeGpu();
  expect(await machine.launches()).toHaveLength(before.length);

  await activityCommand('unpause');
  const { training } = await machine.tower.client.workflow.getHandle<typeof dailyCycle>('daily-cycle').result();
  expect(training).toMatchObject({ redoneSteps: 0, launches: 4 });
  expect(training?.executedSteps).toBe(training?.plannedSteps);
  const { steps } = await machine.settled();
  expect(steps).toMatchObject({ executed: steps.planned, redone: 0 });
});
