import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { takeSnapshot, type ActivitySnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { livingMembers } from '../../src/gpu/process-table.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import type { housekeeping } from '../../src/workflows/housekeeping.js';
import { livingLaunches } from '../../src/training/launch-record.js';
import { readStopIntent } from '../../src/training/stop-intent.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { DailyMachine } from '../support/daily-machine.js';
import { GpuTenants } from '../support/gpu-tenants.js';
import type { trainOther } from '../support/gpu-workflows.js';
import { quietRuntime, TestWorker } from '../support/test-worker.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;
let tenants: Awaited<ReturnType<typeof GpuTenants.start>>;
let control: GuardedProcess;
let gpu: GuardedProcess;
let stranger: ChildProcess | undefined;
let testWorker: TestWorker | undefined;

beforeAll(async () => {
  quietRuntime();
  tenants = await GpuTenants.start();
  machine = await DailyMachine.create({
    settings: {
      gpu: { tenants: { comfyui: tenants.comfyui, ollama: tenants.ollama } },
      train: { simulatedSecondsPerStep: 1, hyperparameters: { checkpointEverySteps: 3 } },
    },
  });
  control = await machine.tower.startControl();
  gpu = await machine.tower.startGpu();
  await machine.uploadDay(0);
});
afterAll(async () => {
  stranger?.kill('SIGKILL');
  await testWorker?.stop();
  await machine.close();
  tenants.close();
});

/** Any program that takes the lock with flock(2), as a user's own script would. */
async function lockAsStranger(lock: string): Promise<ChildProcess> {
  const code =
    'import fcntl, os, sys\n' +
    'fcntl.flock(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT), fcntl.LOCK_EX)\n' +
    'print("held", flush=True)\nsys.stdin.read()';
  await mkdir(dirname(lock), { recursive: true });
  const child = spawn('python3', ['-c', code, lock], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return child;
}

function refusedTraining(workflowId: string): Promise<ActivitySnapshot> {
  return waitUntil(`a refused training of ${workflowId}`, async () => {
    const { activities } = await takeSnapshot(machine.tower.client, workflowId);
    return activities.find(({ state, lastFailure }) => state === 'waiting' && lastFailure?.code === 'GPU_BUSY');
  });
}

function expectRetryWithin15Seconds({ nextAttemptAt }: ActivitySnapshot): void {
  const wait = Date.parse(nextAttemptAt ?? '') - Date.now();
  expect(wait).toBeGreaterThan(5_000);
  expect(wait).toBeLessThanOrEqual(15_000);
}

async function status(): Promise<{ gpus: unknown[]; problems: string[] }> {
  const { stdout } = await machine.tower.tower('status', '--json');
  return JSON.parse(String(stdout)) as { gpus: unknown[]; problems: string[] };
}

it('waits for another program that has the GPU, names it, and disturbs no tenant meanwhile', async () => {
  stranger = await lockAsStranger(machine.tower.gpuLock(0));
  await machine.startCycle({ logicalTime: '2026-01-12T13:00:00.000Z' });

  const refused = await refusedTraining('daily-cycle');

  const who = new RegExp(`python3 \\(pid ${stranger.pid}\\), which is not Tower's`);
  expect(refused.lastFailure?.message).toMatch(who);
  expectRetryWithin15Seconds(refused);
  const { gpus, problems } = await status();
  expect(gpus).toMatchObject([{ state: 'held-by-unknown', pid: stranger.pid }]);
  expect(problems.filter((problem) => who.test(problem))).toHaveLength(1);
  expect(tenants.requests).toEqual([]);
  stranger.kill('SIGKILL');
  expect((await machine.livingLaunch()).spec.generation).toBe(0);
});

it('asks the tenants before the trainer is started, and not when it is adopted', async () => {
  const asked = ['GET /queue', 'GET /queue', 'POST /free {"unload_models":true,"free_memory":true}'];
  const unloaded = ['GET /api/ps', 'POST /api/generate {"model":"llama:7b","keep_alive":0,"stream":false}'];
  const launch = await machine.livingLaunch();
  expect(tenants.requests.map(({ text }) => text)).toEqual([...asked, ...unloaded]);
  expect(tenants.requests.at(-1)?.at).toBeLessThanOrEqual(Date.parse(launch.process.launchedAt));

  await machine.tower.kill(gpu);
  gpu = await machine.tower.startGpu();
  await waitUntil('an adopted trainer', async () => {
    const { activities } = await takeSnapshot(machine.tower.client, 'daily-cycle');
    return activities.some(({ progress }) => progress?.adopted);
  });

  expect((await machine.livingLaunch()).process.pid).toBe(launch.process.pid);
  expect(tenants.requests).toHaveLength(asked.length + unloaded.length);
});

it('runs one trainer although two workers serve the GPU, and says so', async () => {
  const second = await machine.tower.startGpu();
  const { spec } = await machine.livingLaunch();
  const other = join(machine.tower.paths.runs, 'other-run');
  await cp(join(machine.tower.paths.runs, spec.run, 'dataset'), join(other, 'dataset'), { recursive: true });
  testWorker = await TestWorker.start(machine.tower.server.address, {
    taskQueue: 'test',
    workflowsPath: fileURLToPath(new URL('../support/gpu-workflows.ts', import.meta.url)),
  });
  const handle = await machine.tower.client.workflow.start<typeof trainOther>('trainOther', {
    taskQueue: 'test',
    workflowId: 'train-other',
    args: [{ gpuQueue: 'gpu-box-0', priority: 1, run: 'other-run' }],
  });

  const refused = await refusedTraining('train-other');

  expect(refused.lastFailure?.message).toContain(`held by run ${spec.run} (qlora-simulated, pid `);
  expectRetryWithin15Seconds(refused);
  const said = await waitUntil('a status with both workers', async () =>
    (await status()).problems.find((problem) => problem.startsWith('GPU 0 of box')),
  );
  expect(said).toMatch(
    /^GPU 0 of box: 2 workers \(gpu-0@\S+, gpu-0@\S+\), and there may be one; .* End all but one\.$/,
  );
  expect(await livingLaunches(runDirectory(other))).toEqual([]);
  expect(await machine.livingLaunch()).toMatchObject({ spec: { run: spec.run } });
  await handle.cancel();
  await machine.tower.kill(second);
});

it('ends a trainer whose workflow is gone when a worker starts, though a new cycle has the same id', async () => {
  const orphan = await machine.livingLaunch();
  await machine.tower.kill(gpu);
  await machine.tower.kill(control);
  await machine.tower.client.workflow.getHandle('daily-cycle').terminate('test');
  await machine.startCycle({ logicalTime: '2026-01-12T14:00:00.000Z' });
  expect(livingMembers(orphan.process)).toHaveLength(2);

  control = await machine.tower.startControl();

  await waitUntil('the end of the orphan', () => livingMembers(orphan.process).length === 0);
  expect(await machine.gpuState()).toMatchObject({ held: false });
  expect(await readStopIntent(await onlyRun(), 0)).toMatchObject({ reason: 'reap' });
  gpu = await machine.tower.startGpu();
  const next = await machine.livingLaunch();
  expect(next.spec).toMatchObject({ run: orphan.spec.run, generation: 1 });
  expect(next.spec.resume?.step).toBeGreaterThanOrEqual(3);
});

it('ends a trainer whose workflow is gone by housekeeping', async () => {
  const orphan = await machine.livingLaunch();
  const housekeep = (workflowId: string) =>
    machine.tower.client.workflow.execute<typeof housekeeping>('housekeeping', { taskQueue: 'tower', workflowId });
  expect(await housekeep('housekeeping-1')).toMatchObject({ stopped: [], silentHosts: [] });
  await machine.tower.client.workflow.getHandle('daily-cycle').terminate('test');
  expect(livingMembers(orphan.process)).toHaveLength(2);

  expect(await housekeep('housekeeping-2')).toMatchObject({ stopped: [orphan.spec.run], silentHosts: [] });

  expect(livingMembers(orphan.process)).toEqual([]);
  expect(await machine.gpuState()).toMatchObject({ held: false });
});

async function onlyRun() {
  const run = (await machine.runs()).find(({ directory }) => !directory.endsWith('other-run'));
  if (run === undefined) throw new Error('no run');
  return run;
}
