import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { WorkflowHandle } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';

import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { startConsumePrompts } from '../../src/client.js';
import { holdLock, probeLock } from '../../src/gpu/kernel-lock.js';
import { towerSearchAttributes } from '../../src/temporal/search-attributes.js';
import { promptWorkflowIds } from '../../src/workflows/names.js';
import { ComfyuiWorld, textToImage } from '../support/simulated-comfyui.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { waitUntil } from '../support/wait-until.js';

const fixture = fileURLToPath(new URL('fixtures/troubled-worker.mjs', import.meta.url));

let machine: SyntxMachine;
let environment: Readonly<Record<string, string>>;
let metricsAddress: string;

beforeAll(async () => {
  machine = await SyntxMachine.create({ inMemory: true, service: { latencyMs: 300 } });
  metricsAddress = `127.0.0.1:${await freePort()}`;
  await machine.configure({
    ...{ worker: { metricsAddress }, syntx: { consume: { parallel: 1, retry: { onceSeconds: 900 } } } },
  });
  environment = {
    NODE_OPTIONS: `--import=${fixture}`,
    TOWER_TEST_TROUBLE: join(machine.root, 'trouble'),
    TOWER_TEST_TROUBLED: machine.queue,
  };
  await machine.tower.startControl(environment);
});
afterAll(() => machine.close());
afterEach(() => noTrouble());

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function meet(trouble: string): Promise<void> {
  await writeFile(join(machine.root, 'trouble'), trouble);
}

async function noTrouble(): Promise<void> {
  await rm(join(machine.root, 'trouble'), { force: true });
}

/** The failure that a workflow's present activity waits with, once it has one of this type. */
async function waiting(workflowId: string, type: string): Promise<string> {
  return waitUntil(`a wait for ${type}`, async () => {
    const { raw } = await machine.tower.client.workflow.getHandle(workflowId).describe();
    const failure = raw.pendingActivities?.find(
      ({ lastFailure }) => lastFailure?.applicationFailureInfo?.type === type,
    )?.lastFailure;
    return failure?.message ?? undefined;
  });
}

/** Whether a call's answer is at hand and cannot be stored: its heartbeat says why. */
async function keepsAnswer(workflowId: string): Promise<boolean> {
  const { activities } = await takeSnapshot(machine.tower.client, workflowId);
  return activities.some(({ progress }) => progress?.stage?.includes('no space left on the disk of the queue'));
}

/** A retry that waits is made at once. */
async function retryNow(workflowId: string, type: string): Promise<void> {
  const { client } = machine.tower;
  await client.workflowService.resetActivity({ namespace: 'default', execution: { workflowId }, type });
}

/** What the Web UI shows of a run. */
async function detailsOf(run: WorkflowHandle): Promise<string> {
  return (await run.query<{ currentDetails: string }>('__temporal_workflow_metadata')).currentDetails;
}

/** What the server gives work without a limit of its own: the whole run's. */
const wholeRunSeconds = 86_400;

/** Of all that a run did to end in order, the limits in seconds. */
async function closingLimits(run: WorkflowHandle): Promise<number[]> {
  const { events } = await run.fetchHistory();
  return (events ?? []).flatMap(({ activityTaskScheduledEventAttributes: scheduled }) =>
    /^(giveBackPrompt|closeConsumer)$/.test(scheduled?.activityType?.name ?? '')
      ? [Number(scheduled?.scheduleToCloseTimeout?.seconds)]
      : [],
  );
}

async function settledJobs(): Promise<number> {
  const { processed, error, archive } = await machine.levels();
  return processed + error + archive;
}

async function fill(count: number): Promise<void> {
  await machine.tick({ kind: 'produce', batch: count, force: true });
}

describe('while a consumer is at work', () => {
  it('a full disk makes it wait, with the reason; it goes on by itself, and nothing is lost', async () => {
    await fill(2);
    // Before the first claim, so that no answer is at hand.
    await meet('ENOSPC');
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 2 });
    expect(await waiting(run.workflowId, 'DISK_FULL')).toContain('no space left on the disk of the queue');
    await noTrouble();
    for (const type of ['openConsumer', 'claimPrompt']) await retryNow(run.workflowId, type).catch(() => undefined);
    expect(await run.result()).toMatchObject({ claimed: 2, unscored: 0, lost: 0, ended: 'batch' });
    expect(await machine.levels()).toMatchObject({ incoming: 0, processing: 0 });
    expect(await machine.faults()).toEqual([]);
  });

  it('an answer that comes when the disk is full is kept, not asked for again', async () => {
    await fill(1);
    const calls = machine.service.calls().length;
    await meet(`ENOSPC ${join(machine.queue, '.tower', 'answers')}`);
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 1 });
    await waitUntil('the reason in its heartbeat', () => keepsAnswer(run.workflowId));
    await noTrouble();
    expect(await run.result()).toMatchObject({ claimed: 1, unscored: 0, lost: 0 });
    expect(machine.service.calls()).toHaveLength(calls + 1);
    expect(await machine.levels()).toMatchObject({ incoming: 0, processing: 0 });
    expect(await machine.faults()).toEqual([]);
  });

  it('a directory that it may not write ends it, with the path; the next run takes up what it leaves', async () => {
    const before = await settledJobs();
    await fill(4);
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 4 });
    await waitUntil('two scores', async () => ((await settledJobs()) > before + 1 ? true : undefined));
    await meet('EACCES');
    await expect(run.result()).rejects.toMatchObject({
      cause: { cause: { type: 'QUEUE_FORBIDDEN', message: expect.stringContaining(machine.queue) as string } },
    });
    await noTrouble();
    expect((await run.describe()).typedSearchAttributes.get(towerSearchAttributes.simulated)).toBe(true);
    expect(await detailsOf(run)).toContain('| Wrapper service | **simulated** |');
    const next = await machine.tick({ kind: 'consume', wrapper: 'sigma', batch: 10 });
    expect(next).toMatchObject({ result: { unscored: 0, lost: 0, ended: 'empty' } });
    expect(await settledJobs()).toBe(before + 4);
    expect(await machine.faults()).toEqual([]);
  });

  it('a cancellation ends it at once, also while it waits for a retry; the job waits again', async () => {
    const before = await settledJobs();
    await fill(1);
    machine.service.faults = [{ times: 1, fault: { kind: 'status', status: 500, detail: 'name is not defined' } }];
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 1 });
    await waiting(run.workflowId, 'WRAPPER_FAILED');
    await run.cancel();
    await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    expect(await machine.levels()).toMatchObject({ incoming: 1, processing: 0 });
    expect(await machine.tick({ kind: 'consume', wrapper: 'sigma', batch: 1 })).toMatchObject({
      result: { unscored: 0 },
    });
    expect(await settledJobs()).toBe(before + 1);
  });

  it('a cancellation that meets a claim gives its job back', async () => {
    await fill(1);
    await meet(`WAIT ${join(machine.queue, 'incoming')}`);
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 1 });
    await waitUntil('a claim', async () => {
      const { activities } = await takeSnapshot(machine.tower.client, run.workflowId);
      return activities.some(({ activity, state }) => activity === 'claimPrompt' && state === 'running');
    });
    await run.cancel();
    await waitUntil('the cancel of the claim', async () =>
      (await run.fetchHistory()).events?.some((event) => event.activityTaskCancelRequestedEventAttributes),
    );
    // A run that had ended by now would know nothing of its job.
    expect((await run.describe()).status.name).toBe('RUNNING');
    await noTrouble();
    await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    expect(await machine.levels()).toMatchObject({ incoming: 1, processing: 0 });
    await machine.tick({ kind: 'consume', wrapper: 'sigma', batch: 1 });
    expect(await machine.faults()).toEqual([]);
  });

  it('a cancellation ends it as cancelled also where its job cannot be given back, after minutes at most', async () => {
    const before = await settledJobs();
    await fill(1);
    machine.service.faults = [{ times: 1, fault: { kind: 'status', status: 500, detail: 'name is not defined' } }];
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 1 });
    await waiting(run.workflowId, 'WRAPPER_FAILED');
    await meet('EACCES');
    await run.cancel();
    await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    await noTrouble();
    expect(await closingLimits(run)).toEqual([300, 300]);
    expect(await machine.levels()).toMatchObject({ incoming: 0, processing: 1 });
    const next = await machine.tick({ kind: 'consume', wrapper: 'sigma', batch: 1 });
    expect(next).toMatchObject({ result: { claimed: 1, unscored: 0, takenBack: 1 } });
    expect(await settledJobs()).toBe(before + 1);
    expect(await machine.faults()).toEqual([]);
  });

  it('a cancellation begins those minutes also where a full disk already holds up its end', async () => {
    await fill(1);
    // Its beginning and its job are in the log, its end is not.
    await meet(`ENOSPC ${join(machine.root, 'logs', 'consumer_sigma_cron.log')} 2`);
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 1 });
    await waiting(run.workflowId, 'DISK_FULL');
    await noTrouble();
    await run.cancel();
    expect(await run.result()).toMatchObject({ claimed: 1, unscored: 0, ended: 'batch' });
    expect(await closingLimits(run)).toEqual([wholeRunSeconds, 300]);
  });

  it('a cancellation that meets a job which is being given up gives it back', async () => {
    await fill(1);
    machine.service.faults = [{ times: 1, fault: { kind: 'status', status: 403, detail: 'no' } }];
    await meet(`ENOSPC ${join(machine.queue, '.tower', 'moves')}`);
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 1 });
    await waiting(run.workflowId, 'DISK_FULL');
    await noTrouble();
    await run.cancel();
    await expect(run.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    expect(await machine.levels()).toMatchObject({ incoming: 1, processing: 0 });
    await machine.tick({ kind: 'consume', wrapper: 'sigma', batch: 1 });
    expect(await machine.faults()).toEqual([]);
  });

  it('a clock that is set back by two days changes nothing of it', async () => {
    const before = await settledJobs();
    await fill(4);
    const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 3 });
    await waitUntil('a first score', async () => ((await settledJobs()) > before ? true : undefined));
    await meet('CLOCK -172800');
    expect(await run.result()).toMatchObject({ claimed: 3, unscored: 0, lost: 0 });
    await machine.tick({ kind: 'clean' });
    await fill(3);
    expect(await machine.tick({ kind: 'monitor' })).toMatchObject({ result: { takenBack: 0 } });
    expect(await machine.tick({ kind: 'consume', wrapper: 'sigma', batch: 10 })).toMatchObject({
      result: { claimed: 4 },
    });
    await noTrouble();
    expect(await settledJobs()).toBe(before + 7);
    expect(await machine.faults()).toEqual([]);
  });
});

it('the monitor’s figures are metrics of the control worker, also where the page of the day before cannot be written', async () => {
  await fill(2);
  await meet(`EACCES ${join(machine.tower.home, 'reports')}`);
  const scheduledTime = new Date(Date.now() + 24 * 3_600_000).toISOString();
  expect(await machine.tick({ kind: 'monitor', scheduledTime })).toMatchObject({
    outcome: 'ran',
    result: { report: null },
  });
  const monitor = machine.tower.client.workflow.getHandle(promptWorkflowIds.monitor);
  expect(await detailsOf(monitor)).toMatch(/\| Report \| not written: .*reports\/evolution-\S+ cannot be written/);
  await noTrouble();
  const levels = await machine.levels();
  const text = await (await fetch(`http://${metricsAddress}/metrics`)).text();
  const figures = [...text.matchAll(/^tower_syntx_jobs\{.*stage="(\w+)".*\} (\d+)$/gm)];
  expect(Object.fromEntries(figures.map(([, stage, jobs]) => [stage, Number(jobs)]))).toEqual(levels);
  expect(text).toMatch(/^tower_syntx_flags(\{.*\})? [1-4]$/m);
});

it('with the model on this GPU, calls wait for its slot, its lock and ComfyUI, one at a time', async () => {
  const comfyui = await ComfyuiWorld.create({ settings: { renderMs: 120_000 } });
  try {
    await answerOnGpu(comfyui);
  } finally {
    await comfyui.close();
  }
});

async function answerOnGpu(comfyui: ComfyuiWorld): Promise<void> {
  await machine.tower.stopWorkers();
  await machine.configure({
    ...{ gpu: { tenants: { comfyui: comfyui.server.address } }, syntx: { consume: { gpu: 0, parallel: 4 } } },
  });
  // Somebody's picture is being rendered there.
  await comfyui.submit(textToImage({ steps: 200 }));
  await comfyui.oneRuns();
  const freed = () => comfyui.server.statistics().requests['POST /free'] ?? 0;
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
  const lock = machine.tower.gpuLock(0);
  await mkdir(dirname(lock), { recursive: true });
  const request = { lock, run: 'other', kind: 'render', workflowId: 'other', stateDirectory: machine.tower.home };
  const other = await holdLock(request, { python: 'python3' });
  await fill(2);
  const calls = machine.service.calls().length;
  const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 2 });
  expect(await waiting(run.workflowId, 'GPU_BUSY')).toContain('other');
  // A firing of the schedule meanwhile starts no second run.
  expect(await machine.tick({ kind: 'consume', wrapper: 'sigma' })).toMatchObject({
    ...{ outcome: 'skipped', reason: expect.stringContaining('syntx-consume/sigma is running already') as string },
  });
  expect(machine.service.calls()).toHaveLength(calls);
  machine.service.faults = [{ times: 2, fault: { kind: 'slow', delayMs: 1500 } }];
  await other.release();
  await retryNow(run.workflowId, 'calibratePrompt');
  const holder = await waitUntil('the lock', async () => (await probeLock(lock, 'python3')).holder ?? undefined);
  expect(holder).toMatchObject({ kind: 'prompt', workflowId: 'syntx-consume/sigma' });
  // ComfyUI is asked after its running job; `tower watch` and `tower status` say that it is waited for.
  const told = await waitUntil('the wait for ComfyUI', async () => {
    const { activities } = await takeSnapshot(machine.tower.client, run.workflowId);
    return activities.flatMap(({ progress }) => progress?.waitsFor ?? [])[0];
  });
  expect(told).toMatchObject({
    code: 'TENANT_BUSY',
    message: expect.stringContaining(comfyui.server.address) as string,
  });
  const { stdout } = await machine.tower.tower('status', '--json');
  expect(stdout).toContain(`calibratePrompt waits: ComfyUI at ${comfyui.server.address}`);
  expect([freed(), machine.service.calls().length]).toEqual([0, calls]);
  await comfyui.post('/interrupt');
  await waitUntil('the first call', () => machine.service.calls().length > calls);
  expect(freed()).toBe(1);
  expect(await run.result()).toMatchObject({ claimed: 2, unscored: 0, lost: 0 });
  const made = machine.service.calls().slice(calls);
  expect(made.map(({ concurrent }) => concurrent)).toEqual([1, 1]);
  expect(freed()).toBe(2);
  expect(await probeLock(lock, 'python3')).toMatchObject({ held: false });
  expect(await machine.faults()).toEqual([]);
}
