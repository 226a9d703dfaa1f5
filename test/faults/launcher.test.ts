import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { findDevice } from '../../src/gpu/devices.js';
import { describeGpuState, readGpuState } from '../../src/gpu/gpu-state.js';
import { holdLock, probeLock } from '../../src/gpu/kernel-lock.js';
import { launchTrainer, type LaunchSpec } from '../../src/gpu/launcher.js';
import { readProcess } from '../../src/gpu/process-table.js';
import { endGroup } from '../../src/gpu/end-group.js';
import type { HolderRecord } from '../../src/gpu/holder-record.js';
import { writeStopIntent } from '../../src/training/stop-intent.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { python, TrainingBench } from './fixtures/training-bench.js';
import { waitUntil } from '../support/wait-until.js';

const environment = { PATH: process.env['PATH'] ?? '' };
let bench: TrainingBench;
const started: HolderRecord[] = [];
const children: ChildProcess[] = [];

beforeEach(async () => {
  bench = await TrainingBench.open();
});
afterEach(async () => {
  for (const holder of started.splice(0)) await endGroup(holder, 0);
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await bench.close();
});

async function specOf(run: string, argv: readonly [string, ...string[]]): Promise<LaunchSpec> {
  const directory = runDirectory(join(bench.home, 'runs', run));
  const launchDirectory = directory.launch(1).directory;
  await mkdir(launchDirectory, { recursive: true });
  return {
    version: 1,
    lock: bench.lockPath,
    run,
    generation: 0,
    memoryRung: 0,
    resume: null,
    kind: 'test',
    workflowId: 'w',
    stateDirectory: bench.home,
    launchDirectory,
    argv,
    workingDirectory: bench.home,
    stopFile: directory.stopFile(0),
    graceSeconds: 0.3,
  };
}

async function launchSleeper(run: string): Promise<HolderRecord> {
  const { process } = await launchTrainer(await specOf(run, ['sleep', '600']), { python, environment });
  started.push(process);
  return process;
}

async function readState(): Promise<string> {
  const device = await findDevice(0, join(bench.home, 'no-nvidia-smi'));
  return describeGpuState(
    await readGpuState(device, { lockPath: bench.lockPath, python, nvidiaSmi: join(bench.home, 'no-nvidia-smi') }),
  );
}

test('killing the launcher leaves the GPU locked; killing the trainer too frees it', async () => {
  expect(await readState()).toBe('CPU: free');
  const holder = await launchSleeper('one');
  expect(await readState()).toBe(`CPU: held by run one (test, pid ${holder.trainerPid}, since ${holder.launchedAt})`);
  process.kill(holder.pid, 'SIGKILL');
  await waitUntil('a dead launcher', () => readProcess(holder.pid)?.alive !== true);
  expect(await probeLock(bench.lockPath, python)).toMatchObject({ held: true, holder: { run: 'one' } });
  expect(await readState()).toContain('whose launcher died');
  await expect(launchSleeper('two')).rejects.toMatchObject({ code: 'GPU_BUSY', holder: { run: 'one' } });
  process.kill(holder.trainerPid ?? 0, 'SIGKILL');
  await waitUntil('a free lock', async () => !(await probeLock(bench.lockPath, python)).held);
  const next = await launchSleeper('three');
  expect(next.run).toBe('three');
});

test('kill -9 of launcher and trainer at once frees the GPU', async () => {
  const holder = await launchSleeper('one');
  process.kill(-holder.processGroup, 'SIGKILL');
  await waitUntil('a free lock', async () => !(await probeLock(bench.lockPath, python)).held);
});

test('the trainer sees the given environment only, and nothing of it is written to disk', async () => {
  const spec = await specOf('one', ['env']);
  const secret = { ...environment, HF_TOKEN: 'canary-token' };
  process.env['TOWER_SERVER_API_KEY'] = 'canary-key';
  try {
    await launchTrainer(spec, { python, environment: secret });
  } finally {
    delete process.env['TOWER_SERVER_API_KEY'];
  }
  await waitUntil('its end', async () => (await readdir(spec.launchDirectory)).includes('exit.json'));
  const output = await readFile(join(spec.launchDirectory, 'stdout.log'), 'utf8');
  expect(output).toContain('HF_TOKEN=canary-token');
  expect(output).not.toContain('canary-key');
  for (const name of (await readdir(spec.launchDirectory)).filter((name) => name !== 'stdout.log')) {
    expect(await readFile(join(spec.launchDirectory, name), 'utf8')).not.toContain('canary');
  }
});

test('a stop intent that is there first wins', async () => {
  const spec = await specOf('one', ['sleep', '600']);
  await writeStopIntent(runDirectory(join(bench.home, 'runs', 'one')), 0, 'cancel');
  await expect(launchTrainer(spec, { python, environment })).rejects.toMatchObject({ code: 'RUN_STOPPED' });
  expect((await probeLock(bench.lockPath, python)).held).toBe(false);
});

test('what cannot be started is said, with whether it can ever work', async () => {
  const missing = await specOf('one', ['/nonexistent/trainer']);
  await expect(launchTrainer(missing, { python, environment })).rejects.toMatchObject({
    code: 'LAUNCH_FAILED',
    retryable: false,
    message: expect.stringContaining('/nonexistent/trainer') as string,
  });
  const spec = await specOf('two', ['sleep', '600']);
  await expect(launchTrainer(spec, { python: '/nonexistent/python', environment })).rejects.toMatchObject({
    code: 'LAUNCH_FAILED',
    retryable: false,
  });
  await expect(launchTrainer(spec, { python: 'false', environment })).rejects.toMatchObject({ code: 'LAUNCH_FAILED' });
});

test('a launcher that never answers leaves nothing behind', async () => {
  const spec = await specOf('one', ['sleep', '600']);
  const deaf = join(bench.home, 'deaf-python');
  await writeFile(deaf, '#!/bin/sh\necho $$ >pid\nsleep 600 & wait\n', { mode: 0o755 });
  await expect(
    launchTrainer({ ...spec, graceSeconds: 0 }, { python: deaf, environment, answerMs: 300 }),
  ).rejects.toThrow(/no answer within 300 ms/);
  const pid = Number(await readFile(join(spec.launchDirectory, 'pid'), 'utf8'));
  await waitUntil('its end', () => readProcess(pid)?.alive !== true);
});

test('a held lock is busy for others, free after release, and says when it is lost', async () => {
  const request = {
    lock: bench.lockPath,
    run: 'render-1',
    kind: 'render',
    workflowId: 'w',
    stateDirectory: bench.home,
  };
  const held = await holdLock(request, { python });
  await expect(holdLock({ ...request, run: 'render-2' }, { python })).rejects.toMatchObject({
    code: 'GPU_BUSY',
    details: { run: 'render-1', kind: 'render' },
  });
  await expect(launchSleeper('one')).rejects.toMatchObject({ code: 'GPU_BUSY' });
  await held.release();
  await held.release();
  expect(held.lost.aborted).toBe(false);
  expect(await probeLock(bench.lockPath, python)).toEqual({ held: false, holder: null });

  const again = await holdLock(request, { python });
  process.kill(again.holder.pid, 'SIGKILL');
  await waitUntil('news of the loss', () => again.lost.aborted);
  expect(again.lost.reason).toMatchObject({ code: 'LOCK_FAILED' });
});

test('a lock ends with the process that holds it, also after kill -9', async () => {
  const fixtures = join(import.meta.dirname, 'fixtures');
  const parent = spawn(
    process.execPath,
    ['--import', join(fixtures, 'register-typescript.js'), join(fixtures, 'train-and-wait.ts'), 'hold', bench.home],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  children.push(parent);
  await once(parent.stdout, 'data');
  expect(await probeLock(bench.lockPath, python)).toMatchObject({ held: true, holder: { run: 'render-1' } });
  parent.kill('SIGKILL');
  await waitUntil('a free lock', async () => !(await probeLock(bench.lockPath, python)).held);
});

test('a lock that cannot be opened is an error, not a free GPU', async () => {
  const request = {
    lock: join(bench.home, 'no', 'such', 'lock'),
    run: 'r',
    kind: 'k',
    workflowId: '',
    stateDirectory: '',
  };
  await expect(holdLock(request, { python })).rejects.toMatchObject({ code: 'LOCK_FAILED' });
  await expect(probeLock(bench.lockPath, '/nonexistent/python')).rejects.toMatchObject({ code: 'LOCK_FAILED' });
});

test('processes that live without the lock are shown, and ended by the next holder', async () => {
  const spec = await specOf('one', ['sh', '-c', 'sleep 600 </dev/null & echo $!; wait']);
  const { process: holder } = await launchTrainer(spec, { python, environment });
  started.push(holder);
  const log = join(spec.launchDirectory, 'stdout.log');
  const orphan = Number(await waitUntil('a pid', async () => (await readFile(log, 'utf8')).trim() || undefined));
  process.kill(holder.pid, 'SIGKILL');
  process.kill(holder.trainerPid ?? 0, 'SIGKILL');
  await waitUntil('a free lock', async () => !(await probeLock(bench.lockPath, python)).held);
  expect(await readState()).toContain(`not locked, but processes ${orphan} of run one`);
  await launchSleeper('two');
  expect(readProcess(orphan)?.alive ?? false).toBe(false);
});
