import { readFile } from 'node:fs/promises';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { isAlive, readProcess, trainerIdentity } from '../../src/gpu/process-table.js';
import { livingLaunches, readLaunches } from '../../src/training/launch-record.js';
import { runTraining } from '../../src/training/run-training.js';
import { stopRun } from '../../src/training/stop-run.js';
import { attempt, goOn, log, python, TrainingBench } from './fixtures/training-bench.js';
import { waitUntil } from '../support/wait-until.js';

let bench: TrainingBench;
beforeEach(async () => {
  bench = await TrainingBench.open();
});
afterEach(async () => {
  await bench.close();
});

test('an undisturbed run settles once, and a second call returns the same record', async () => {
  const request = await bench.request('plain', { steps: 12 });
  const options = attempt();
  const result = await runTraining(request, options);
  expect(result).toMatchObject({
    outcome: 'done',
    launches: 1,
    steps: { planned: 12, executed: 12, redone: 0, segments: [{ launch: 1, from: 1, to: 12 }] },
  });
  expect(options.progress.at(-1)).toMatchObject({ step: 12, totalSteps: 12, adopted: false, simulated: true });
  expect(await runTraining(request, attempt())).toEqual(result);
});

test('a killed trainer fails once and goes on from its newest complete state', async () => {
  const request = await bench.request('killed', {
    steps: 14,
    saveEvery: 4,
    fault: { step: 11, kind: 'kill', once: true },
  });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED', retryable: true });
  expect(await runTraining(request, attempt())).toMatchObject({
    outcome: 'done',
    launches: 2,
    steps: {
      planned: 14,
      executed: 14,
      redone: 2,
      segments: [
        { launch: 1, from: 1, to: 8 },
        { launch: 2, from: 9, to: 14 },
      ],
    },
  });
});

test('an attempt that detaches leaves the trainer running; the next one adopts the same process', async () => {
  const request = await bench.request('adopt', { steps: 60, stepMs: 30, holdAt: 30 });
  const first = attempt('detach');
  const running = runTraining(request, first);
  await waitUntil('first steps', () => (first.progress.at(-1)?.step ?? 0) > 3);
  first.abort();
  await expect(running).rejects.toThrow('aborted to detach');
  const [launch] = await readLaunches(request.directory);
  const second = attempt();
  const outcome = runTraining(request, second);
  const progress = await waitUntil('its progress', () => second.progress[0]);
  expect(progress).toMatchObject({ adopted: true, pid: launch?.process.trainerPid });
  await goOn(request);
  expect(await outcome).toMatchObject({ outcome: 'done', launches: 1, steps: { executed: 60 } });
});

test('stop ends a trainer and a grandchild that ignore SIGTERM, and the generation cannot be revived', async () => {
  const request = await bench.request('stubborn', { steps: 900, ignoreTerm: true, grandchild: 'plain' });
  const options = attempt();
  const running = runTraining(request, options).catch((error: unknown) => error);
  await waitUntil('first step', () => (options.progress.at(-1)?.step ?? 0) > 0);
  const grandchild = Number(await readFile(`${request.directory.output}/grandchild.pid`, 'utf8'));
  const result = await stopRun(
    { directory: request.run.directory, generation: 0, reason: 'cancel', graceMs: 500, python },
    { log },
  );
  expect(result).toMatchObject({ outcome: 'stopped', killed: 2 });
  expect(readProcess(grandchild)?.alive ?? false).toBe(false);
  expect(await running).toMatchObject({ code: 'RUN_STOPPED', retryable: false });
  const [launch] = await readLaunches(request.directory);
  expect(launch?.exit).toMatchObject({ code: null, signal: 'SIGKILL' });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'RUN_STOPPED' });
  expect(await readLaunches(request.directory)).toHaveLength(1);
});

test('two attempts at the same time share one trainer', async () => {
  const request = await bench.request('twins', { steps: 40, stepMs: 20 });
  const [one, other] = await Promise.all([runTraining(request, attempt()), runTraining(request, attempt())]);
  expect(one).toEqual(other);
  expect(one).toMatchObject({ outcome: 'done', launches: 1, steps: { redone: 0 } });
});

test('a run that finds the GPU taken is told by whom, at once', async () => {
  const holder = await bench.request('holder', { steps: 900 });
  const options = attempt('detach');
  const running = runTraining(holder, options).catch((error: unknown) => error);
  const launch = await waitUntil('a living holder', async () => (await livingLaunches(holder.directory)).at(0));
  const other = await bench.request('other', { steps: 3 });
  await expect(runTraining(other, attempt())).rejects.toMatchObject({
    code: 'GPU_BUSY',
    retryable: true,
    retryAfterMs: 15_000,
    details: { run: 'holder', kind: 'stand-in' },
  });
  expect(await readLaunches(other.directory)).toEqual([]);
  options.abort();
  await running;
  const identity = trainerIdentity(launch.process);
  expect(identity === undefined || isAlive(identity)).toBe(true);
});
