import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { createCharacterHostActivities } from '../../src/activities/character/host.js';
import { kohyaDriver } from '../../src/activities/character/kohya-driver.js';
import { createHostActivities } from '../../src/activities/host-activities.js';
import { readStageFaults } from '../../src/character/stage-faults.js';
import { stageWork } from '../../src/activities/character/stage-work.js';
import { superviseRun } from '../../src/activities/gpu-activities.js';
import { gaveWay } from '../../src/activities/gpu-turn.js';
import type { WorkerEnvironment } from '../../src/activities/worker-environment.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { configSchema } from '../../src/config/schema.js';
import { statePaths } from '../../src/config/state-paths.js';
import { endingUnexpected } from '../../src/activities/unexpected.js';
import { describeError, TowerError } from '../../src/errors.js';
import { listDevices } from '../../src/gpu/devices.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { readStopIntent } from '../../src/training/stop-intent.js';
import { writeRunOwner } from '../../src/training/run-owner.js';
import { characterFolders, preparedRun, renderAll, type CharacterFolders } from '../support/character-run.js';
import { waitUntil } from '../support/wait-until.js';

let folders: CharacterFolders;
let environment: WorkerEnvironment;
beforeEach(async () => {
  folders = await characterFolders();
  environment = {
    config: configSchema.parse({ worker: { heartbeatSeconds: 0.2 } }),
    paths: { ...statePaths(folders.root), runs: folders.runs },
    ...{ host: 'box', log: pino({ level: 'silent' }) },
    readApiKey: () => Promise.reject(new Error('no key is needed')),
    get client(): never {
      throw new Error('no server is needed');
    },
  };
});
afterEach(() => folders.remove());

/** Captioning of a run that fails for a while, as an activity of one execution of a workflow. */
async function failingTag({ reservation }: CharacterRun, workflowId: string, runId: string): Promise<boolean> {
  const activity = new MockActivityEnvironment({ workflowExecution: { workflowId, runId } });
  const failure = new TowerError('COMFYUI_TIMEOUT', 'it came', { retryable: true });
  const thrown: unknown = await activity
    .run(() => stageWork(environment, { run: reservation.run, stage: 'tag' }, () => Promise.reject(failure)))
    .catch((error: unknown) => error);
  if (!(thrown instanceof TowerError) || thrown.code !== failure.code) throw thrown;
  return thrown.retryable;
}

it('the budget of a stage lasts over all executions of a workflow, and no other workflow has less for it (W10)', async () => {
  const fields = { limits: { tag: { retries: 2 } } };
  const run = await preparedRun(folders, fields);
  const [own, later] = ['character-lora/elara/1', 'character-lora/elara/2'];
  expect(await failingTag(run, own, 'first')).toBe(true);
  // Gone on in a new execution, or reset.
  expect(await failingTag(run, own, 'second')).toBe(true);
  expect(await failingTag(run, own, 'third')).toBe(false);
  // A person lets the run go on.
  expect(await failingTag(run, later, 'fourth')).toBe(true);
  const other = await preparedRun(folders, { ...fields, name: 'Ida' });
  expect(await failingTag(other, own, 'fifth')).toBe(true);
  expect((await readStageFaults(run.paths.directory)).map(({ owner }) => owner)).toEqual([own, own, own, later]);
});

it('a workflow of the same id, after the database was deleted, has a budget of its own (W10)', async () => {
  const run = await preparedRun(folders, { limits: { tag: { retries: 1 } } });
  const workflowId = 'character-lora/elara/1';
  const owned = (firstRunId: string, workflowRunId: string) =>
    writeRunOwner(runDirectory(run.paths.directory), { workflowId, workflowRunId, firstRunId });
  await owned('first', 'first');
  expect(await failingTag(run, workflowId, 'first')).toBe(true);
  // Gone on in a new execution, and a training in it.
  await owned('first', 'second');
  await writeRunOwner(runDirectory(run.paths.directory), { workflowId, workflowRunId: 'second' });
  expect(await failingTag(run, workflowId, 'second')).toBe(false);
  await owned('third', 'third');
  expect(await failingTag(run, workflowId, 'third')).toBe(true);
});

it('heartbeats while a driver prepares: a large dataset has many images to look at (W7)', async () => {
  const { reservation } = await preparedRun(folders);
  const activity = new MockActivityEnvironment();
  let beats = 0;
  activity.on('heartbeat', () => (beats += 1));
  const prepared = new Error('prepared');
  const driverOf = async () => {
    const before = beats;
    await waitUntil('three heartbeats', () => beats >= before + 3, 10_000);
    throw prepared;
  };
  const reference = { run: reservation.run, generation: 0, gpuIndex: 0 };
  const training = activity.run(() =>
    superviseRun(environment, reference, { driverOf, vramGigabytes: undefined, vramSetting: 'gpu.trainVramGigabytes' }),
  );
  await expect(training).rejects.toBe(prepared);
});

it('what the server expects heartbeats of gives them, and a review ends when it is told to (W7)', async () => {
  const prepared = await preparedRun(folders, { stages: ['generate', 'tag'], count: 2 });
  await renderAll(prepared);
  const { dataset, job } = prepared;
  const { run } = prepared.reservation;
  const { config, paths, host: name, log, readApiKey } = environment;
  const host = createCharacterHostActivities({ config, paths, host: name, log, readApiKey, client: {} as Client });
  const decision = { approve: false, captions: [{ index: 1, caption: 'mine' }] };
  const activities: Record<string, () => Promise<unknown>> = {
    countImages: () => host.countImages({ run }),
    checkCharacterJob: () => host.checkCharacterJob({ job: { ...job, stages: ['tag'], dataset: dataset.folder } }),
    reviewCharacter: () => host.reviewCharacter({ run, decision }),
  };
  for (const [activityName, work] of Object.entries(activities)) {
    const activity = new MockActivityEnvironment();
    let beats = 0;
    activity.on('heartbeat', () => (beats += 1));
    await activity.run(work);
    expect([activityName, beats > 0]).toEqual([activityName, true]);
  }
  const cancelled = new MockActivityEnvironment();
  cancelled.cancel();
  const other = { ...decision, captions: [{ index: 1, caption: 'too late' }] };
  await expect(cancelled.run(() => host.reviewCharacter({ run, decision: other }))).rejects.toThrow();
  expect(await readFile(join(dataset.images, 'elara_001.txt'), 'utf8')).toBe('mine');
});

it('a driver that does not answer is waited for, and costs a stage nothing, however often (W10)', async () => {
  const run = await preparedRun(folders, { limits: { generate: { retries: 0 } } });
  const nvidiaSmi = join(folders.root, 'nvidia-smi');
  await writeFile(nvidiaSmi, '#!/bin/sh\nexit 15\n', { mode: 0o755 });
  const work = () => listDevices(nvidiaSmi);
  for (let time = 0; time < 3; time += 1) {
    const stage = new MockActivityEnvironment().run(() =>
      stageWork(environment, { run: run.reservation.run, stage: 'generate' }, work),
    );
    await expect(stage).rejects.toMatchObject({ code: 'NVIDIA_SMI_FAILED', retryable: true, retryAfterMs: 60_000 });
  }
  expect(await readStageFaults(run.paths.directory)).toMatchObject([{ code: 'NVIDIA_SMI_FAILED' }]);
});

it('making way on the GPU costs a stage nothing, however often (W19)', async () => {
  const run = await preparedRun(folders, { limits: { deliver: { retries: 0 } } });
  const activity = new MockActivityEnvironment();
  const given = gaveWay({ reason: 'daily training waits' });
  const turn = stageWork.bind(undefined, environment, { run: run.reservation.run, stage: 'deliver' });
  for (let turns = 0; turns < 2; turns += 1) {
    await expect(activity.run(() => turn(() => Promise.reject(given)))).rejects.toMatchObject({ retryable: true });
  }
  expect(await readStageFaults(run.paths.directory)).toEqual([]);
});

it('an activity that fails in unexpected ways time after time ends with what came; anything between begins a new row', async () => {
  const workflowExecution = { workflowId: 'character-lora/elara/1', runId: 'first' };
  const surprise = new RangeError('out of hand');
  let next: Error = surprise;
  const { prepare } = endingUnexpected({ prepare: (): Promise<never> => Promise.reject(next) });
  const activity = (activityId: string) => async () => {
    const environment = new MockActivityEnvironment({ workflowExecution, activityId });
    return environment.run(prepare).catch((thrown: unknown) => thrown);
  };
  const [one, other] = [activity('1'), activity('2')];
  const full = new TowerError('DISK_FULL', 'no space', { retryable: true });
  for (let time = 1; time < 8; time += 1) expect(await one()).toMatchObject({ code: 'UNEXPECTED', retryable: true });
  next = full;
  expect(await one()).toBe(full);
  next = surprise;
  for (let time = 1; time < 8; time += 1) expect(await one()).toMatchObject({ retryable: true });
  expect(await other()).toMatchObject({ retryable: true });
  const final = await one();
  expect(final).toMatchObject({ code: 'UNEXPECTED', retryable: false, cause: surprise });
  expect(describeError(final)).toContain('out of hand');
});

/** With a stand-in for the folder of sd-scripts. */
async function withScripts(nvidiaSmi: string): Promise<typeof environment> {
  const sdScripts = join(folders.root, 'sd-scripts');
  await mkdir(join(sdScripts, 'library'), { recursive: true });
  const options = ['initial_epoch', 'console_log_simple', 'dataset_config', 'resume'];
  const script = options.map((name) => `parser.add_argument("--${name}")\n`).join('');
  await writeFile(join(sdScripts, 'train_network.py'), script);
  const config = configSchema.parse({
    gpu: { nvidiaSmi },
    comfyui: { checkpointDirectory: folders.root },
    character: { sdScripts, python: '/bin/sh' },
  });
  return Object.assign(environment, { config });
}

it.each([
  ['none', ''],
  ['nvidia-smi-that-is-not-there', undefined],
])(
  'gpu.nvidiaSmi %s decides whether a training may take a GPU that only sd-scripts finds',
  async (nvidiaSmi, visible) => {
    const { reservation } = await preparedRun(folders);
    const driver = await kohyaDriver(await withScripts(nvidiaSmi), reservation.run);
    const { environment: variables } = driver.command({ resumeFrom: undefined, memoryRung: 0 });
    expect(variables['CUDA_VISIBLE_DEVICES']).toBe(visible);
  },
);

it('a training that waits for the driver of the GPU is paused at once, and does not start when the driver is back (W24)', async () => {
  const { reservation, paths } = await preparedRun(folders);
  const nvidiaSmi = join(folders.root, 'nvidia-smi');
  await writeFile(nvidiaSmi, '#!/bin/sh\nexit 9\n', { mode: 0o755 });
  const own = await withScripts(nvidiaSmi);
  await expect(kohyaDriver(own, reservation.run)).rejects.toMatchObject({ code: 'NVIDIA_SMI_FAILED' });
  const reference = { run: reservation.run, generation: 0, gpuIndex: 0 };
  const pause = () => createHostActivities(own).pauseTrainer(reference);
  expect(await new MockActivityEnvironment().run(pause)).toEqual({ state: 'idle', step: 0 });
  expect(await readStopIntent(runDirectory(paths.directory), 0)).toMatchObject({ reason: 'pause' });
});
