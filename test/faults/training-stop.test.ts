import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { probeLock } from '../../src/gpu/kernel-lock.js';
import { readProcess } from '../../src/gpu/process-table.js';
import { livingLaunches, readLaunches } from '../../src/training/launch-record.js';
import { pauseRun } from '../../src/training/pause-run.js';
import { reapRuns } from '../../src/training/reap-runs.js';
import { runTraining } from '../../src/training/run-training.js';
import { nextGeneration } from '../../src/training/stop-intent.js';
import { stopRun } from '../../src/training/stop-run.js';
import type { TrainingRequest } from '../../src/training/training-request.js';
import { attempt, goOn, log, python, TrainingBench } from './fixtures/training-bench.js';
import { waitUntil } from '../support/wait-until.js';

let bench: TrainingBench;
beforeEach(async () => {
  bench = await TrainingBench.open();
});
afterEach(async () => {
  await bench.close();
});

const stop = (request: TrainingRequest, generation = 0) =>
  stopRun({ directory: request.run.directory, generation, reason: 'cancel', graceMs: 300, python }, { log });
const pause = (request: TrainingRequest) => pauseRun(request, { signal: new AbortController().signal, log });

async function startedAttempt(request: TrainingRequest, kind: 'stop' | 'pause' | 'detach', steps = 3) {
  const options = attempt(kind);
  const outcome = runTraining(request, options).catch((error: unknown) => error);
  await waitUntil('some steps', () => (options.progress.at(-1)?.step ?? 0) >= steps);
  return { outcome, options };
}

test('a cancelled attempt ends its trainer and then reports the cancel', async () => {
  const request = await bench.request('cancel', { steps: 900 });
  const { outcome, options } = await startedAttempt(request, 'stop');
  options.abort();
  expect(await outcome).toMatchObject({ message: 'aborted to stop' });
  expect(await livingLaunches(request.directory)).toEqual([]);
  expect((await probeLock(bench.lockPath, python)).held).toBe(false);
});

test.each(['without-lock', 'escapes'] as const)('stop finds a grandchild that lives %s', async (grandchild) => {
  const request = await bench.request('family', { steps: 900, ignoreTerm: true, grandchild });
  const { outcome } = await startedAttempt(request, 'detach', 1);
  const pid = Number(await readFile(join(request.directory.output, 'grandchild.pid'), 'utf8'));
  expect(readProcess(pid)?.alive).toBe(true);
  expect(await stop(request)).toMatchObject({ outcome: 'stopped' });
  expect(readProcess(pid)?.alive ?? false).toBe(false);
  expect(await outcome).toMatchObject({ code: 'RUN_STOPPED' });
});

test('stop is a no-op when nothing runs, works twice, and leaves a finished run as it is', async () => {
  const request = await bench.request('idle', { steps: 3 });
  const result = await runTraining(request, attempt());
  expect(await stop(request)).toEqual({ outcome: 'nothing-running' });
  expect(await stop(request)).toEqual({ outcome: 'nothing-running' });
  expect(await runTraining(request, attempt())).toEqual(result);
});

test('whenever a stop comes during a start, no trainer is left', async () => {
  for (let delayMs = 0; delayMs <= 200; delayMs += 40) {
    const request = await bench.request(`race-${delayMs}`, { steps: 900, ignoreTerm: true });
    const outcome = runTraining(request, attempt()).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await stop(request);
    expect(await outcome).toMatchObject({ code: 'RUN_STOPPED' });
    expect(await livingLaunches(request.directory)).toEqual([]);
    expect((await probeLock(bench.lockPath, python)).held).toBe(false);
  }
});

test('whenever a pause comes during a start, the attempt ends paused', async () => {
  for (let delayMs = 0; delayMs <= 200; delayMs += 50) {
    const request = await bench.request(`pause-${delayMs}`, { steps: 900 });
    const outcome = runTraining(request, attempt()).catch((error: unknown) => error);
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    expect(await pause(request)).toMatchObject({ outcome: 'paused' });
    expect(await outcome).toMatchObject({ outcome: 'paused' });
    expect(await livingLaunches(request.directory)).toEqual([]);
  }
});

test('a stopped run goes on from its state in the next generation', async () => {
  const request = await bench.request('resumed', { steps: 30, saveEvery: 4, holdAt: 20 });
  const { outcome } = await startedAttempt(request, 'detach', 9);
  await stop(request);
  await outcome;
  await goOn(request);
  const generation = await nextGeneration(request.directory);
  expect(generation).toBe(1);
  const result = await runTraining({ ...request, generation }, attempt());
  expect(result).toMatchObject({ outcome: 'done', launches: 2, steps: { executed: 30 } });
  expect(result.outcome === 'done' && result.steps.segments[1]?.from).toBeGreaterThanOrEqual(9);
});

test('pause by signal: the trainer saves its step, the attempt returns paused, a resume loses nothing', async () => {
  const request = await bench.request('pause', { steps: 60, stepMs: 20, saveEvery: 50, holdAt: 40 });
  const { outcome } = await startedAttempt(request, 'detach', 5);
  const paused = await pause(request);
  expect(paused).toMatchObject({ outcome: 'paused' });
  expect(await outcome).toEqual(paused);
  expect(await runTraining(request, attempt())).toEqual(paused);
  expect(await readLaunches(request.directory)).toHaveLength(1);
  await goOn(request);
  const result = await runTraining({ ...request, generation: 1 }, attempt());
  expect(result).toMatchObject({ outcome: 'done', launches: 2, steps: { executed: 60, redone: 0 } });
});

test('an attempt that is aborted to pause returns where it paused', async () => {
  const request = await bench.request('abort', { steps: 900, saveEvery: 500 });
  const { outcome, options } = await startedAttempt(request, 'pause', 4);
  options.abort();
  const result = await outcome;
  expect(result).toMatchObject({ outcome: 'paused' });
  expect((result as { step: number }).step).toBeGreaterThanOrEqual(4);
});

test('pause by waiting for the next state, for trainers that take no request', async () => {
  const request = await bench.request(
    'wait',
    { steps: 900, stepMs: 20, saveEvery: 10 },
    { driverOptions: { pauseBy: 'next-checkpoint' } },
  );
  const { outcome } = await startedAttempt(request, 'detach', 12);
  const paused = await pause(request);
  expect(paused).toMatchObject({ outcome: 'paused' });
  expect((paused as { step: number }).step % 10).toBe(0);
  expect((paused as { step: number }).step).toBeGreaterThanOrEqual(20);
  expect(await outcome).toEqual(paused);
});

test('a pause waits as long as the trainer takes from one state to the next', async () => {
  const request = await bench.request(
    'seldom',
    { steps: 900, stepMs: 20, saveEvery: 60 },
    { driverOptions: { pauseBy: 'next-checkpoint', stateInterval: 0.5 }, pauseLimitMs: 100 },
  );
  const { outcome } = await startedAttempt(request, 'detach', 2);
  expect(await pause(request)).toMatchObject({ outcome: 'paused' });
  await outcome;
});

test('a pause that comes too late finds the run finished', async () => {
  const request = await bench.request(
    'late',
    { steps: 20, saveEvery: 500 },
    { driverOptions: { pauseBy: 'next-checkpoint' } },
  );
  const { outcome } = await startedAttempt(request, 'detach', 2);
  expect(await pause(request)).toEqual({ outcome: 'finished' });
  expect(await outcome).toMatchObject({ outcome: 'done' });
  expect(await pause(request)).toEqual({ outcome: 'finished' });
});

test('a pause without a state in time is taken back, and the training goes on', async () => {
  const request = await bench.request(
    'timeout',
    { steps: 40, stepMs: 20, saveEvery: 500, holdAt: 20 },
    { driverOptions: { pauseBy: 'next-checkpoint' }, pauseLimitMs: 200 },
  );
  const { outcome } = await startedAttempt(request, 'detach', 2);
  await expect(pause(request)).rejects.toMatchObject({ code: 'PAUSE_TIMED_OUT' });
  await goOn(request);
  expect(await outcome).toMatchObject({ outcome: 'done', launches: 1 });
});

test('a person who sends the pause signal by hand only causes a restart from there', async () => {
  const request = await bench.request('by-hand', { steps: 40, saveEvery: 500, holdAt: 20 });
  const { outcome, options } = await startedAttempt(request, 'detach', 5);
  process.kill(options.progress.at(-1)?.pid ?? 0, 'SIGUSR1');
  expect(await outcome).toMatchObject({ code: 'TRAINER_KILLED', retryable: true });
  await goOn(request);
  expect(await runTraining(request, attempt())).toMatchObject({ outcome: 'done', steps: { redone: 0 } });
});

test('reaping stops what no workflow owns, and leaves what it cannot judge', async () => {
  const names = ['owned', 'orphaned', 'unknown'];
  const outcomes = [];
  for (const [index, name] of names.entries()) {
    const lockPath = join(bench.home, `gpu-${index}.lock`);
    const request = await bench.request(name, { steps: 900 }, { gpu: { index, lockPath } });
    outcomes.push(startedAttempt(request, 'detach', 1));
  }
  const started = await Promise.all(outcomes);
  const isWorkflowAlive = ({ workflowId }: { workflowId: string }) => {
    if (workflowId === 'workflow-unknown') return Promise.reject(new Error('the server is away'));
    return Promise.resolve(workflowId === 'workflow-owned');
  };
  const request = { runsDirectory: join(bench.home, 'runs'), isWorkflowAlive, graceMs: 300, python };
  expect(await reapRuns(request, { log })).toEqual({ stopped: ['orphaned'], kept: ['owned'], left: ['unknown'] });
  expect(await started[1]?.outcome).toMatchObject({ outcome: 'paused' });
  expect(await reapRuns(request, { log })).toEqual({ stopped: [], kept: ['owned'], left: ['unknown'] });
  for (const { options } of started) options.abort();
  await Promise.all(started.map(({ outcome }) => outcome));
});
