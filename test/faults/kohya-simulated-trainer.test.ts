import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { livingMembers } from '../../src/gpu/process-table.js';
import { readEpochs } from '../../src/kohya/epochs.js';
import type { SdScriptsFault } from '../../src/sims/sd-scripts/simulation.js';
import { readLaunches } from '../../src/training/launch-record.js';
import { pauseRun } from '../../src/training/pause-run.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { runTraining, type TrainingResult } from '../../src/training/run-training.js';
import { readSafetensorsHeader } from '../../src/training/safetensors.js';
import type { TrainingRequest } from '../../src/training/training-request.js';
import { KohyaBench, type SimulatedKohya } from '../support/kohya-bench.js';
import { waitUntil } from '../support/wait-until.js';
import { attempt, log } from './fixtures/training-bench.js';

let bench: KohyaBench;
beforeEach(async () => {
  bench = await KohyaBench.open();
});
afterEach(() => bench.close());

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

async function loraOf(id: string, simulated: SimulatedKohya = {}): Promise<Buffer> {
  const result = await trainThrough(await bench.request(id, simulated));
  if (result.outcome !== 'done') throw new Error(`found ${result.outcome}`);
  return await tensorsOf(result.artefact.path);
}

test('an undisturbed run settles with every step, a LoRA of each epoch, its losses and samples', async () => {
  const request = await bench.request('plain');
  const options = attempt();
  const result = await runTraining(request, options);
  expect(result).toMatchObject({
    outcome: 'done',
    driver: 'kohya-simulated',
    simulated: true,
    launches: 1,
    artefact: { path: join(request.run.directory, 'output', 'elara_lora.safetensors') },
    steps: { planned, executed: planned, redone: 0, segments: [{ launch: 1, from: 1, to: planned }] },
    trainLoss: expect.closeTo(0.11, 1) as number,
    heldOutLoss: expect.closeTo(0.13, 1) as number,
  });
  expect(options.progress.at(-1)).toMatchObject({ step: planned, totalSteps: planned, simulated: true });

  const epochs = await readEpochs(request.run.directory);
  expect(epochs.map(({ epoch, samples }) => [epoch, samples.length])).toEqual([
    [1, 1],
    [2, 1],
    [3, 1],
    [4, 1],
  ]);
  expect(new Set(epochs.map(({ sha256 }) => sha256)).size).toBe(4);
  expect(epochs.at(-1)?.path).toBe(join(request.run.directory, 'output', 'elara_lora.safetensors'));
  const best = epochs.toSorted((one, other) => (one.heldOutLoss ?? 9) - (other.heldOutLoss ?? 9))[0];
  expect(best).toMatchObject({ epoch: 3, lossSource: 'console', trainLoss: expect.any(Number) as number });
});

test('W17: killed in its third epoch, it goes on from the state of the second to the same LoRA', async () => {
  const undisturbed = await loraOf('plain');
  const request = await bench.request('killed', {
    simulation: { fault: { kind: 'killed', atStep: 2 * perEpoch + 4, onlyOnLaunch: 1 } },
  });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED', retryable: true });
  const result = await runTraining(request, attempt());
  expect(result).toMatchObject({
    outcome: 'done',
    launches: 2,
    steps: {
      planned,
      executed: planned,
      redone: 3,
      segments: [
        { launch: 1, from: 1, to: 14 },
        { launch: 2, from: 15, to: planned },
      ],
    },
  });
  const [, second] = await launchesOf(request);
  expect(second?.spec.resume).toMatchObject({
    step: 14,
    path: expect.stringContaining('elara_lora-000002-state') as string,
  });
  expect(await tensorsOf(join(request.run.directory, 'output', 'elara_lora.safetensors'))).toEqual(undisturbed);
  expect((await readEpochs(request.run.directory)).map(({ epoch }) => epoch)).toEqual([1, 2, 3, 4]);
});

test('killed again after a resume, it still counts every step: the resume is told its epoch', async () => {
  const undisturbed = await loraOf('plain');
  const request = await bench.request('chained');
  // The stand-in is told by the driver of each launch at which step to die.
  for (const [launch, atStep] of [10, 17, 24].entries()) {
    const fault: SdScriptsFault = { kind: 'killed', atStep, onlyOnLaunch: launch + 1 };
    const driver = await bench.driver('chained', { simulation: { fault } });
    await expect(runTraining({ ...request, driver }, attempt())).rejects.toMatchObject({ code: 'TRAINER_KILLED' });
  }
  const result = await runTraining(request, attempt());
  expect(result).toMatchObject({
    launches: 4,
    steps: {
      planned,
      executed: planned,
      redone: 6,
      segments: [{ to: 7 }, { to: 14 }, { to: 21 }, { from: 22, to: 28 }],
    },
  });
  const states = join(request.run.directory, 'output');
  // What makes a plain resume go wrong: the state of epoch 3 claims the step of its launch.
  const state = await readFile(join(states, 'elara_lora-000003-state', 'train_state.json'), 'utf8');
  expect(JSON.parse(state)).toEqual({ current_epoch: 3, current_step: 7 });
  expect(await tensorsOf(join(states, 'elara_lora.safetensors'))).toEqual(undisturbed);
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
  const request = await bench.request('paused', { simulation: { secondsPerStep: 0.05 } });
  const options = attempt();
  const running = runTraining(request, options);
  await waitUntil('the second epoch', () => (options.progress.at(-1)?.step ?? 0) > perEpoch);
  const paused = await pauseRun(request, { signal: new AbortController().signal, log });
  expect(paused).toMatchObject({ outcome: 'paused', step: 2 * perEpoch });
  expect(await running).toEqual(paused);
  const quick = await bench.driver('paused');
  const result = await runTraining({ ...request, driver: quick, generation: 1 }, attempt());
  expect(result).toMatchObject({ outcome: 'done', launches: 2, steps: { executed: planned } });
});

test('W14: a loss that is no number ends the trainer, which would have gone on, and is not tried again', async () => {
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

test('out of memory walks down the ladder; where the network changes it starts anew, and all steps count', async () => {
  const request = await bench.request('memory', {
    options: { train_batch_size: 2, gradient_accumulation_steps: 2 },
    // The first rungs fail in their second epoch, with a state at hand.
    simulation: { fault: { kind: 'out-of-memory', atStep: 3, untilLaunch: 4 } },
  });
  const result = await trainThrough(request);
  // 7 images by 2 by 2: two steps an epoch.
  expect(result).toMatchObject({ launches: 5, memoryRung: 4, steps: { planned: 8, executed: 8, redone: 4 } });
  expect(request.driver.memoryLadder.slice(0, 4)).toEqual([
    'gradient checkpointing',
    'batch 1 with accumulation 4',
    '8-bit optimiser AdamW8bit',
    'U-Net only',
  ]);
  const launches = await launchesOf(request);
  expect(launches.map(({ spec }) => [spec.memoryRung, spec.resume?.step ?? 0])).toEqual([
    [0, 0],
    [1, 2],
    [2, 2],
    [3, 0],
    [4, 0],
  ]);
  expect(launches.map(({ fault }) => fault?.class)).toEqual([...Array<string>(4).fill('out-of-memory'), undefined]);
  const epochs = await readEpochs(request.run.directory);
  expect(epochs).toHaveLength(4);
  const { tensors } = await readSafetensorsHeader(epochs[3]?.path ?? '');
  expect(tensors.some(({ name }) => name.startsWith('lora_te'))).toBe(false);
});

describe('an end with exit code 0 or a file is no success by itself', () => {
  test('W15: no images', async () => {
    const request = await bench.request('empty', { simulation: { fault: { kind: 'no-images' } } });
    await expect(runTraining(request, attempt())).rejects.toMatchObject({
      code: 'TRAINER_BAD_DATASET',
      retryable: false,
    });
    expect((await launchesOf(request))[0]?.exit?.code).toBe(0);
  });

  test('a LoRA whose lora_up is all zero', async () => {
    const request = await bench.request('zero', { simulation: { fault: { kind: 'zero-lora' } } });
    await expect(runTraining(request, attempt())).rejects.toMatchObject({
      retryable: false,
      message: expect.stringContaining('every lora_up is zero') as string,
    });
  });

  test('W27: a LoRA that was there before', async () => {
    const other = await bench.request('other');
    await trainThrough(other);
    const request = await bench.request('stale', { simulation: { fault: { kind: 'no-images' } } });
    const output = join(request.run.directory, 'output');
    await mkdir(output, { recursive: true });
    const lora = await readFile(join(other.run.directory, 'output', 'elara_lora.safetensors'));
    await writeFile(join(output, 'elara_lora.safetensors'), lora);
    await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_BAD_DATASET' });
  });

  test('a trainer that saves and then fails: the last epoch is done again', async () => {
    const request = await bench.request('late', {
      simulation: { fault: { kind: 'fail-after-save', onlyOnLaunch: 1 } },
    });
    expect(await trainThrough(request)).toMatchObject({ launches: 2, steps: { executed: planned, redone: perEpoch } });
  });
});

test.each([
  ['crash', 'TRAINER_INTERNAL', true],
  ['disk-full', 'TRAINER_DISK_FULL', true],
] as const)('%s is told apart: %s', async (kind, code, retryable) => {
  const request = await bench.request(kind, { simulation: { fault: { kind, atStep: 2 } } });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code, retryable });
});

test('a trainer that hangs is ended and resumed', async () => {
  const request = await bench.request('stalled', {
    simulation: { fault: { kind: 'stall', atStep: 9, onlyOnLaunch: 1 } },
    request: { stall: { limitMs: 3_000 } },
  });
  await expect(runTraining(request, attempt())).rejects.toMatchObject({ code: 'TRAINER_STALLED' });
  expect(await runTraining(request, attempt())).toMatchObject({ launches: 2, steps: { executed: planned, redone: 1 } });
});

test('a broken image and an empty caption are named before anything is started', async () => {
  const request = await bench.request('broken');
  const { images } = await bench.run('broken');
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
