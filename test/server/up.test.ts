import { readFileSync } from 'node:fs';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { findRunningServer } from '../../src/temporal/server-file.js';
import { readProcess } from '../../src/gpu/process-table.js';
import type { Launch } from '../../src/training/launch-record.js';
import type { dailyCycle } from '../../src/workflows/daily-cycle.js';
import { DailyMachine } from '../support/daily-machine.js';
import type { UpProcess } from '../support/up-process.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;
let up: UpProcess;
/** The one training of this file: it goes on under everything that happens to `tower up`. */
let training: Launch;

beforeAll(async () => {
  machine = await DailyMachine.create({ serverless: true, settings: { train: { simulatedSecondsPerStep: 0.1 } } });
  up = await machine.tower.startUp();
});
afterAll(async () => {
  if (training as Launch | undefined) signalTrainer('SIGCONT');
  await machine.close();
});

const isRunning = (pid: number) => readProcess(pid)?.alive === true;

/** SIGSTOP keeps the training from ending while `tower up` comes and goes, however slow this machine is. */
function signalTrainer(signal: 'SIGSTOP' | 'SIGCONT'): void {
  const { trainerPid } = training.process;
  if (trainerPid !== null && isRunning(trainerPid)) process.kill(trainerPid, signal);
}

async function expectSameTrainer(): Promise<void> {
  const living = await machine.livingLaunch();
  expect(living.process.trainerPid).toBe(training.process.trainerPid);
}

async function expectAllGone(pids: readonly number[]): Promise<void> {
  expect(pids.length).toBeGreaterThan(4);
  await waitUntil('the end of all parts', () => !pids.some(isRunning));
  expect(await findRunningServer(machine.tower.home)).toBeUndefined();
}

it('prints its addresses, applies the schedules, and all is well soon', async () => {
  expect(up.ready).toMatchObject({ home: machine.tower.home, workers: [{ name: 'control' }, { name: 'gpu-0' }] });
  expect((await fetch(up.ready.uiAddress)).status).toBe(200);
  const status = await waitUntil('a status without problems', async () => {
    const { exitCode, stdout } = await machine.tower.tower('status', '--json');
    return exitCode === 0 && (JSON.parse(String(stdout)) as Record<string, unknown>);
  });
  expect(status).toMatchObject({
    problems: [],
    server: {
      address: up.ready.address,
      schedules: [
        { name: 'daily', state: 'active' },
        { name: 'housekeeping', state: 'active' },
      ],
    },
  });
});

it('W16: refuses to run twice on one state directory, and says who runs', async () => {
  const { exitCode, stderr } = await machine.tower.tower('up');
  expect(exitCode).toBe(6);
  expect(stderr).toContain('STATE_DIRECTORY_LOCKED');
  expect(stderr).toMatch(new RegExp(`in use by another \`tower up\` \\(process ${up.pid}, since 20\\d\\d-[^)]+Z\\)`));
});

it('ends in order on Ctrl-C, leaves a running training alone, and says how to stop that', async () => {
  const parts = up.parts();
  await machine.uploadDay(0);
  await machine.startCycle();
  await machine.trainingAtStep(2);
  training = await machine.livingLaunch();
  signalTrainer('SIGSTOP');

  up.signal('SIGINT');

  const { exitCode, stderr } = await up.ended;
  expect(exitCode).toBe(0);
  const { trainerPid } = training.process;
  expect(stderr).toContain(`goes on (pid ${trainerPid}); the next \`tower up\` adopts it`);
  expect(stderr).toContain(`tower trainer stop ${training.spec.run}`);
  await expectAllGone(parts);
  await expectSameTrainer();
});

it('stops the rest in order and fails, naming the part, when a worker dies', async () => {
  up = await machine.tower.startUp();
  const parts = await waitUntil('all processes', () => up.parts().length > 6 && up.parts());
  const guard = up.ready.workers.find(({ name }) => name === 'gpu-0')?.pid ?? 0;
  const worker = parts.find((pid) => pid !== guard && commandLine(pid).includes('--role gpu')) ?? 0;

  process.kill(worker, 'SIGKILL');

  const { exitCode, stdout } = await up.ended;
  expect(exitCode).toBe(1);
  expect(stdout).toMatch(/"PART_ENDED","message":"the gpu-0 worker ended/);
  await expectAllGone(parts);
  await expectSameTrainer();
});

it('takes server and workers with it when it is killed, but not the training', async () => {
  up = await machine.tower.startUp();
  const parts = await waitUntil('all processes', () => up.parts().length > 6 && up.parts());

  up.signal('SIGKILL');

  await up.ended;
  await expectAllGone(parts);
  await expectSameTrainer();
});

it('adopts the training that went on under it all, and completes the cycle', async () => {
  up = await machine.tower.startUp();
  await machine.trainingAtStep(2);
  await expectSameTrainer();
  signalTrainer('SIGCONT');

  const result = await machine.tower.client.workflow.getHandle<typeof dailyCycle>('daily-cycle').result();

  expect(result.training).toMatchObject({ launches: 1, redoneSteps: 0 });
  expect(result.training?.executedSteps).toBe(result.training?.plannedSteps);
  await machine.delivered(result.deliveries);
});

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}
