import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { probeLock } from '../../src/gpu/kernel-lock.js';
import { readProcess } from '../../src/gpu/process-table.js';
import { livingLaunches, readLaunches } from '../../src/training/launch-record.js';
import type { RunDirectory } from '../../src/training/run-directory.js';
import { runTraining } from '../../src/training/run-training.js';
import type { TrainingRequest } from '../../src/training/training-request.js';
import { weightsAfter } from './fixtures/stand-in-driver.js';
import { attempt, goOn, python, TrainingBench } from './fixtures/training-bench.js';
import { waitUntil } from '../support/wait-until.js';

let bench: TrainingBench;
beforeEach(async () => {
  bench = await TrainingBench.open();
});
afterEach(async () => {
  await bench.close();
});

/** Starts an attempt and waits until its trainer has executed some steps. */
async function startedAttempt(request: TrainingRequest & { directory: RunDirectory }, { steps = 3 } = {}) {
  const options = attempt();
  const outcome = runTraining(request, options).catch((error: unknown) => error);
  await waitUntil('some steps', () => (options.progress.at(-1)?.step ?? 0) >= steps);
  const [launch] = await livingLaunches(request.directory);
  if (launch === undefined) throw new Error('no living launch');
  return { outcome, launch, options };
}

test('a trainer outlives kill -9 of the process that started it, and is adopted', async () => {
  const request = await bench.request('orphan', { steps: 80, stepMs: 25 });
  const fixtures = join(import.meta.dirname, 'fixtures');
  const parent = spawn(
    process.execPath,
    [
      '--import',
      join(fixtures, 'register-typescript.js'),
      join(fixtures, 'train-and-wait.ts'),
      'train',
      bench.home,
      'orphan',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await waitUntil('first steps', async () => {
    const [chunk] = (await once(parent.stdout, 'data')) as [Buffer];
    return /step [3-9]/.test(String(chunk));
  });
  parent.kill('SIGKILL');
  await once(parent, 'close');
  const options = attempt();
  const outcome = runTraining(request, options);
  expect((await waitUntil('progress', () => options.progress[0])).adopted).toBe(true);
  await goOn(request);
  expect(await outcome).toMatchObject({ outcome: 'done', launches: 1, steps: { executed: 80, redone: 0 } });
});

test('when only the launcher dies, the trainer is followed to its end and its artefact decides', async () => {
  const request = await bench.request('headless', { steps: 40, stepMs: 25, holdAt: 20 });
  const { outcome, launch } = await startedAttempt(request);
  process.kill(launch.process.pid, 'SIGKILL');
  await goOn(request);
  expect(await outcome).toMatchObject({ outcome: 'done', launches: 1, steps: { executed: 40, redone: 0 } });
  const [ended] = await readLaunches(request.directory);
  expect(ended?.exit).toBeUndefined();
});

test('when launcher and trainer die, the next attempt resumes and the result is that of an undisturbed run', async () => {
  const request = await bench.request('both', { steps: 30, stepMs: 20, saveEvery: 4, holdAt: 20 });
  const { outcome, launch } = await startedAttempt(request, { steps: 10 });
  process.kill(-launch.process.processGroup, 'SIGKILL');
  expect(await outcome).toMatchObject({ code: 'TRAINER_KILLED', retryable: true });
  await goOn(request);
  const result = await runTraining(request, attempt());
  expect(result).toMatchObject({ outcome: 'done', launches: 2, steps: { planned: 30, executed: 30 } });
});

test('a launch that ended while nobody watched is judged once, then the run goes on', async () => {
  const request = await bench.request('unwatched', { steps: 30, stepMs: 20, saveEvery: 4, holdAt: 20 });
  const { outcome, launch, options } = await startedAttempt(request, { steps: 6 });
  options.abort();
  await outcome;
  process.kill(launch.process.trainerPid ?? 0, 'SIGKILL');
  await waitUntil('its end', async () => (await livingLaunches(request.directory)).length === 0);
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED' });
  expect(JSON.parse(await readFile(launch.files.fault, 'utf8'))).toMatchObject({ class: 'killed' });
  await goOn(request);
  expect(await runTraining(request, attempt())).toMatchObject({ outcome: 'done', launches: 2 });
});

test('a torn state is set aside, and the run goes on from the complete one before it', async () => {
  const request = await bench.request('torn', {
    steps: 20,
    saveEvery: 4,
    fault: { step: 13, kind: 'kill', once: true },
  });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED' });
  await rm(join(request.directory.output, 'checkpoint-12', 'complete.json'));
  expect(await runTraining(request, attempt())).toMatchObject({
    outcome: 'done',
    steps: { executed: 20, redone: 4, segments: [{ to: 8 }, { from: 9, to: 20 }] },
  });
});

test('a trainer that hangs is ended and the run goes on', async () => {
  const request = await bench.request(
    'hanging',
    { steps: 12, saveEvery: 4, ignoreTerm: true, fault: { step: 10, kind: 'hang', once: true } },
    { stall: { limitMs: 1_500 } },
  );
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_STALLED', retryable: true });
  expect(await livingLaunches(request.directory)).toEqual([]);
  expect(await runTraining(request, attempt())).toMatchObject({ outcome: 'done', launches: 2, steps: { redone: 1 } });
});

test('a deterministic fault is not retried; its message holds the last output', async () => {
  const stderr = `${'x'.repeat(5_000)} unknown key lora_rank`;
  const request = await bench.request('bad', { steps: 5, fault: { step: 1, kind: 'exit', code: 20, stderr } });
  const error: unknown = await runTraining(request, attempt()).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'TRAINER_BAD_CONFIG', retryable: false });
  expect((error as Error).message).toContain('exit code 20');
  expect((error as Error).message).toContain('unknown key lora_rank');
  expect((error as Error).message.length).toBeLessThan(2_500);
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_BAD_CONFIG', retryable: false });
  expect(await readLaunches(request.directory)).toHaveLength(1);
});

test('out of memory walks down the ladder and stops at its end', async () => {
  const request = await bench.request(
    'memory',
    { steps: 5, fault: { step: 2, kind: 'exit', code: 23 } },
    { driverOptions: { memoryLadder: ['gradient checkpointing', 'batch 1'] } },
  );
  for (const retryable of [true, true, false]) {
    await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_OUT_OF_MEMORY', retryable });
  }
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ retryable: false });
  expect((await readLaunches(request.directory)).map(({ spec }) => spec.memoryRung)).toEqual([0, 1, 2]);
});

test('no trainer is started while the disk is too full', async () => {
  const request = await bench.request('full', { steps: 3 });
  await expect(runTraining({ ...request, minFreeBytes: 2 ** 60 }, attempt())).rejects.toMatchObject({
    code: 'DISK_SPACE_LOW',
    retryable: true,
    retryAfterMs: 60_000,
  });
  expect(await readLaunches(request.directory)).toEqual([]);
  expect(await runTraining(request, attempt())).toMatchObject({ outcome: 'done' });
});

test('a recycled pid in the record of an old launch is neither adopted nor killed', async () => {
  const request = await bench.request('recycled', { steps: 6, fault: { step: 3, kind: 'kill', once: true } });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED' });
  const stranger = spawn('sleep', ['600'], { detached: true, stdio: 'ignore' });
  try {
    const pid = stranger.pid ?? 0;
    const file = request.directory.launch(1).process;
    const record = JSON.parse(await readFile(file, 'utf8')) as object;
    const recycled = JSON.stringify({ ...record, pid, processGroup: pid, trainerPid: pid });
    await writeFile(file, recycled);
    await writeFile(`${bench.lockPath}.holder.json`, recycled);
    expect(await runTraining(request, attempt())).toMatchObject({ outcome: 'done', launches: 2 });
    expect(readProcess(pid)?.alive).toBe(true);
  } finally {
    stranger.kill('SIGKILL');
  }
});

test('room is made before a start, but not for a GPU that another run holds', async () => {
  const holder = await bench.request('holder', { steps: 900 });
  const { outcome, options } = await startedAttempt(holder, { steps: 1 });
  const calls: string[] = [];
  const room = () => Promise.resolve(void calls.push('asked'));
  const other = await bench.request('other', { steps: 3 }, { beforeLaunch: room });
  await expect(runTraining(other, attempt())).rejects.toMatchObject({ code: 'GPU_BUSY', details: { run: 'holder' } });
  expect(calls).toEqual([]);
  const [launch] = await livingLaunches(holder.directory);
  process.kill(-(launch?.process.processGroup ?? 0), 'SIGKILL');
  await outcome;
  options.abort();
  await waitUntil('a free GPU', async () => !(await probeLock(bench.lockPath, python)).held);
  expect(await runTraining(other, attempt())).toMatchObject({ outcome: 'done' });
  expect(calls).toEqual(['asked']);
});

test('an artefact for which the launches do not add up is refused', async () => {
  const request = await bench.request('last-moment', { steps: 8, fault: { step: 8, kind: 'kill', once: true } });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED' });
  await mkdir(join(request.directory.output, 'adapter'));
  await writeFile(join(request.directory.output, 'adapter', 'weights'), weightsAfter(8));
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'STEP_LEDGER_BROKEN', retryable: false });
});
