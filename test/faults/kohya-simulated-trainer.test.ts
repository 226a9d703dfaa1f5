import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { afterAll, beforeAll, expect, test } from 'vitest';

import { livingMembers } from '../../src/gpu/process-table.js';
import { chooseEpoch } from '../../src/character/choose-epoch.js';
import { readEpochs, readKohyaPlan, type EpochRecord } from '../../src/kohya/epochs.js';
import type { SdScriptsFault } from '../../src/sims/sd-scripts/simulation.js';
import type { TrainingResult } from '../../src/training/judge-launch.js';
import { readLaunches } from '../../src/training/launch-record.js';
import { pauseRun } from '../../src/training/pause-run.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { runTraining } from '../../src/training/run-training.js';
import { readSafetensorsHeader } from '../../src/training/safetensors.js';
import type { TrainingRequest } from '../../src/training/training-request.js';
import { KohyaBench, writeImages } from '../support/kohya-bench.js';
import { waitUntil } from '../support/wait-until.js';
import { attempt, log } from './fixtures/training-bench.js';

let bench: KohyaBench;
/** A run that nothing disturbs. */
let plain: TrainingRequest;
let plainResult: TrainingResult;
const plainAttempt = attempt();
beforeAll(async () => {
  bench = await KohyaBench.open();
  plain = await bench.request('plain', { simulation: { secondsPerStep: 0.03 } });
  plainResult = await runTraining(plain, plainAttempt);
});
afterAll(() => bench.close());

/** 8 images, of which 1 is held out, 4 epochs. */
const perEpoch = 7;
const planned = 28;

async function trainThrough(request: TrainingRequest): Promise<TrainingResult> {
  for (;;) {
    try {
      return await runTraining(request, attempt());
    } catch (error) {
      if ((error as { retryable?: boolean }).retryable !== true) throw error;
    }
  }
}

function launchesOf({ run }: TrainingRequest) {
  return readLaunches(runDirectory(run.directory));
}

/** What training has made of a LoRA, without the metadata, which tell times and steps of the launch. */
async function tensorsOf(path: string): Promise<Buffer> {
  const { tensors } = await readSafetensorsHeader(path);
  return (await readFile(path)).subarray(tensors[0]?.start);
}

test('W14: a run is followed on both streams, and settles with every step, a LoRA of each epoch, losses and samples', async () => {
  expect(plainAttempt.progress.some(({ step, loss }) => step > 0 && step < planned && loss !== null)).toBe(true);
  const { directory } = plain.run;
  expect(plainResult).toMatchObject({
    outcome: 'done',
    driver: 'kohya-simulated',
    simulated: true,
    launches: 1,
    artefact: { path: join(directory, 'output', 'elara_lora.safetensors') },
    steps: { planned, executed: planned, redone: 0, segments: [{ launch: 1, from: 1, to: planned }] },
    trainLoss: expect.closeTo(0.11, 1) as number,
    heldOutLoss: expect.closeTo(0.13, 1) as number,
  });

  const epochs = await readEpochs(directory);
  expect(epochs.map(({ epoch, samples }) => [epoch, samples.length])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 1],
  ]);
  expect(new Set(epochs.map(({ sha256 }) => sha256)).size).toBe(4);
  expect(epochs.at(-1)?.path).toBe(join(directory, 'output', 'elara_lora.safetensors'));
  const best = epochs.toSorted((one, other) => (one.heldOutLoss ?? 9) - (other.heldOutLoss ?? 9))[0];
  expect(best).toMatchObject({ epoch: 3, lossSource: 'console', trainLoss: expect.any(Number) as number });
});

test('W17: killed, and killed again after its resume, it goes on from its newest state to the same LoRA', async () => {
  const request = await bench.request('killed');
  for (const [launch, atStep] of [10, 24].entries()) {
    const fault: SdScriptsFault = { kind: 'killed', atStep, onlyOnLaunch: launch + 1 };
    const driver = await bench.driver('killed', { simulation: { fault } });
    await expect(runTraining({ ...request, driver }, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED' });
  }
  const options = attempt();
  expect(await runTraining(request, options)).toMatchObject({
    outcome: 'done',
    launches: 3,
    steps: {
      planned,
      executed: planned,
      redone: 4,
      segments: [
        { launch: 1, from: 1, to: 7 },
        { launch: 2, from: 8, to: 21 },
        { launch: 3, from: 22, to: planned },
      ],
    },
  });
  expect(options.progress.at(-1)).toMatchObject({ step: planned, totalSteps: planned });
  const output = join(request.run.directory, 'output');
  // What makes a plain resume go wrong: the state of epoch 3 claims the step of its launch. So the epoch is said.
  const state = await readFile(join(output, 'elara_lora-000003-state', 'train_state.json'), 'utf8');
  expect(JSON.parse(state)).toEqual({ current_epoch: 3, current_step: 14 });
  const [, , third] = await launchesOf(request);
  expect(await readFile(third?.files.spec ?? '', 'utf8')).toContain('"--initial_epoch",\n    "4"');
  const tensors = await tensorsOf(join(output, 'elara_lora.safetensors'));
  expect(tensors).toEqual(await tensorsOf(join(plain.run.directory, 'output', 'elara_lora.safetensors')));
  const losses = (epochs: readonly EpochRecord[]) => epochs.map(({ heldOutLoss }) => heldOutLoss);
  expect(losses(await readEpochs(request.run.directory))).toEqual(losses(await readEpochs(plain.run.directory)));
});

test('a state that a kill has torn is set aside, and the complete one before it is used', async () => {
  const request = await bench.request('torn', {
    simulation: { fault: { kind: 'torn-state', atStep: 2 * perEpoch, onlyOnLaunch: 1 } },
  });
  expect(await trainThrough(request)).toMatchObject({ launches: 2, steps: { executed: planned, redone: 7 } });
  expect(await readdir(join(request.run.directory, 'broken'))).toEqual([
    expect.stringMatching(/^elara_lora-000002-state-[0-9a-f]{8}$/),
  ]);
});

test('a pause waits for the next state and ends the trainer; the next generation goes on from there', async () => {
  const options = { max_train_epochs: 12 };
  const request = await bench.request('paused', { options, simulation: { secondsPerStep: 0.05 } });
  const first = attempt();
  const running = runTraining(request, first);
  await waitUntil('the second epoch', () => (first.progress.at(-1)?.step ?? 0) > perEpoch);
  const paused = await pauseRun(request, { signal: new AbortController().signal, log });
  if (paused.outcome !== 'paused') throw new Error(`found ${paused.outcome}`);
  expect(paused.step).toBeGreaterThanOrEqual(2 * perEpoch);
  expect(paused.step % perEpoch).toBe(0);
  expect(await running).toEqual(paused);
  const quick = await bench.driver('paused', { options });
  const result = await runTraining({ ...request, driver: quick, generation: 1 }, attempt());
  const steps = { planned: 12 * perEpoch, executed: 12 * perEpoch };
  expect(result).toMatchObject({ outcome: 'done', launches: 2, steps });
  // Also those of the epoch after which it was paused.
  const epochs = await readEpochs(request.run.directory);
  expect(epochs.map(({ samples }) => samples.length)).toEqual(Array<number>(12).fill(1));
});

test('a loss that is no number ends the trainer, which would have gone on, and is not tried again', async () => {
  const request = await bench.request('nan', {
    options: { max_train_epochs: 400 },
    simulation: { secondsPerStep: 0.02, fault: { kind: 'nan', atStep: 9 } },
  });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({
    code: 'TRAINER_DIVERGED',
    retryable: false,
    message: expect.stringContaining('the loss of step 9 is NaN') as string,
  });
  const [launch] = await launchesOf(request);
  expect(launch?.exit?.signal).toBe('SIGTERM');
  expect(launch && livingMembers(launch.process)).toEqual([]);
});

test('out of memory walks down the ladder; where the optimiser changes it starts anew, and all steps count', async () => {
  const request = await bench.request('memory', {
    // Both rungs fail in their second epoch, with a state at hand.
    simulation: { fault: { kind: 'out-of-memory', atStep: perEpoch + 2, untilLaunch: 2 } },
  });
  const result = await trainThrough(request);
  expect(result).toMatchObject({ launches: 3, memoryRung: 2, steps: { planned, executed: planned, redone: 9 } });
  expect(request.driver.memoryLadder.slice(0, 2)).toEqual(['gradient checkpointing', '8-bit optimiser AdamW8bit']);
  const launches = await launchesOf(request);
  expect(launches.map(({ spec }) => [spec.memoryRung, spec.resume?.step ?? 0])).toEqual([
    [0, 0],
    [1, perEpoch],
    [2, 0],
  ]);
  const epochs = await readEpochs(request.run.directory);
  const output = join(request.run.directory, 'output-rung-2');
  expect(epochs.map(({ path }) => dirname(path))).toEqual(Array<string>(4).fill(output));
});

test('an epoch before a rung that measures losses otherwise is told from those after it', async () => {
  const request = await bench.request('batch', {
    options: { train_batch_size: 2, gradient_checkpointing: true },
    simulation: { fault: { kind: 'out-of-memory', atStep: Math.ceil(perEpoch / 2) + 2, untilLaunch: 1 } },
  });
  expect(await trainThrough(request)).toMatchObject({ launches: 2, memoryRung: 1 });
  const [first, ...others] = (await readEpochs(request.run.directory)).map(({ conditions }) => conditions);
  expect(first).toContain('"train_batch_size":2');
  expect(new Set(others)).toEqual(new Set([first?.replace('size":2', 'size":1')]));
});

test('W15, W27: an end with 0 without images is no success, whatever file was there before', async () => {
  const request = await bench.request('empty', { simulation: { fault: { kind: 'no-images' } } });
  const output = join(request.run.directory, 'output');
  await mkdir(output, { recursive: true });
  await copyFile(join(plain.run.directory, 'output', 'elara_lora.safetensors'), join(output, 'elara_lora.safetensors'));
  await expect(runTraining(request, attempt())).rejects.toMatchObject({
    code: 'TRAINER_BAD_DATASET',
    retryable: false,
  });
  expect((await launchesOf(request))[0]?.exit?.code).toBe(0);
});

test('W15: a LoRA whose lora_up is all zero is no success', async () => {
  const request = await bench.request('zero', { simulation: { fault: { kind: 'zero-lora' } } });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({
    retryable: false,
    message: expect.stringContaining('every lora_up is zero') as string,
  });
});

test('a trainer that saves and then fails: the last epoch is done again', async () => {
  const request = await bench.request('late', { simulation: { fault: { kind: 'fail-after-save', onlyOnLaunch: 1 } } });
  expect(await trainThrough(request)).toMatchObject({ launches: 2, steps: { executed: planned, redone: perEpoch } });
});

test('a broken image and an empty caption are named before anything is started', async () => {
  const images = join(bench.home, 'broken-images');
  await writeImages(images, 8);
  const request = await bench.request('broken', { run: { images } });
  await writeFile(join(images, 'elara_003.png'), 'no picture');
  await writeFile(join(images, 'elara_005.txt'), '');
  await expect(runTraining(request, attempt())).rejects.toMatchObject({
    code: 'KOHYA_DATASET_INVALID',
    message: expect.stringMatching(
      /elara_003\.png: the image does not decode.*elara_005\.txt: the caption is empty/,
    ) as string,
  });
  expect(existsSync(join(request.run.directory, 'launches'))).toBe(false);
});

test('a training that has begun is not resumed with other images, which no GPU time could complete; with its own it is', async () => {
  const images = join(bench.home, 'changed-images');
  await writeImages(images, 8);
  const killed = { kind: 'killed', atStep: 10, onlyOnLaunch: 1 } as const;
  const request = await bench.request('changed', { run: { images }, simulation: { fault: killed } });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED' });
  await rename(join(images, 'elara_003.png'), join(bench.home, 'elara_003.png'));
  await expect(runTraining(request, attempt())).rejects.toMatchObject({
    ...{ code: 'DATASET_CHANGED', retryable: false },
    message: expect.stringContaining('began with 8 images (8 of 64×64), now') as string,
  });
  expect(await launchesOf(request)).toHaveLength(1);
  await rename(join(bench.home, 'elara_003.png'), join(images, 'elara_003.png'));
  await writeFile(join(images, 'elara_003.txt'), 'elara, another caption');
  expect(await runTraining(request, attempt())).toMatchObject({ outcome: 'done', launches: 2 });
});

test('where sd-scripts cannot hold images out, the choice says so, with a scorer too', async () => {
  const request = await bench.request('blind', { simulation: { validation: false } });
  expect(await trainThrough(request)).toMatchObject({ outcome: 'done', heldOutLoss: null });
  const { heldOut } = await readKohyaPlan(request.run.directory);
  if (heldOut.available) throw new Error('images were held out');
  const epochs = await readEpochs(request.run.directory);
  expect(chooseEpoch(epochs, [], heldOut.reason)).toMatchObject({
    ...{ epoch: 4, method: 'last-epoch' },
    reason:
      'epoch 4, the last one: no held-out loss was measured (the installed sd-scripts cannot hold images out), ' +
      'so no figure tells the epochs apart',
  });
  const scores = epochs.map(({ epoch }) => ({ epoch, scores: [epoch === 2 ? 1 : 0] }));
  expect(chooseEpoch(epochs, scores, heldOut.reason)).toMatchObject({
    ...{ epoch: 2, method: 'scorer' },
    reason: expect.stringContaining('the installed sd-scripts cannot hold images out') as string,
  });
});
