import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { readStageFaults } from '../../src/character/stage-faults.js';
import { readJournal } from '../../src/character/journal.js';
import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { failureOf } from '../../src/cli/runs/workflow-failure.js';
import { startCharacterLora } from '../../src/client.js';
import type { ComfyuiServer } from '../../src/sims/comfyui/server.js';
import type { SdScriptsFault } from '../../src/sims/sd-scripts/simulation.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { readLaunches } from '../../src/training/launch-record.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { readSettled } from '../../src/training/settle.js';
import { CharacterMachine } from '../support/character-machine.js';

const fullDisk = fileURLToPath(new URL('fixtures/full-disk.js', import.meta.url));

let machine: CharacterMachine;
let comfyui: ComfyuiServer;
let gpu: GuardedProcess;
let dataset: string;

beforeAll(async () => {
  machine = await CharacterMachine.create({
    comfyui: { renderMs: 60 },
    environment: { NODE_OPTIONS: `--import ${fullDisk}` },
    settings: { comfyui: { awayMinutes: 0.05 }, train: { simulatedSecondsPerStep: 0.02 } },
  });
  if (!('statistics' in machine.comfyui)) throw new Error('not the server of this process');
  comfyui = machine.comfyui;
  [, gpu] = await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
});
afterAll(() => machine.close());

const runOf = (run: string) => runDirectory(join(machine.tower.paths.runs, run));

async function failure(handle: CharacterLoraHandle): Promise<{ code: string; message: string }> {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError)) throw new Error('it has not failed', { cause: error });
  return failureOf(error.cause);
}

/** A training of its own on the dataset of the first test, by a stand-in with this fault. */
async function trainWith(fault: SdScriptsFault, name: string): Promise<CharacterLoraHandle> {
  await machine.tower.stop(gpu);
  gpu = await machine.tower.startGpu(0, { TOWER_SIMULATED_SD_SCRIPTS_FAULT: JSON.stringify(fault) });
  return machine.start({ name, dataset, count: undefined, stages: ['train'] });
}

it('a ComfyUI that forgets everything costs at most two images each time (W11)', async () => {
  const moments = ['at-start', 'in-step', 'before-save', 'after-save', 'after-history'] as const;
  comfyui.addFaults(
    moments.map((when, index) => ({
      prompt: { match: `_v1/${2 * index + 2}-0` },
      fault: { kind: 'restart', when, downMs: 300 },
    })),
  );
  const result = await (await machine.start({ stages: ['generate', 'tag'] })).result();
  expect(result).toMatchObject({ images: { accepted: 12, rejected: 0 }, captions: { images: 12, withoutMetadata: 0 } });
  const { restarts, renders } = comfyui.statistics();
  expect(restarts).toBe(moments.length);
  const rendered = renders.filter(({ outcome, cached }) => outcome === 'success' && !cached);
  expect(rendered.length).toBeLessThanOrEqual(12 + 2 * moments.length);
  expect((await readJournal(join(runOf(result.run).directory, 'images.jsonl'))).accepted.size).toBe(12);
  dataset = result.dataset;
});

it('a full disk is named, loses no image, and the run goes on from what it has when there is room', async () => {
  // Slow enough to be met under way.
  await machine.change({ renderMs: 500 });
  const handle = await machine.start({ name: 'Full', stages: ['generate', 'tag'] });
  const marker = join(machine.tower.home, 'disk-is-full');
  await machine.accepted(handle.workflowId, 2);
  await writeFile(marker, machine.datasets);
  const { lastFailure } = await machine.activity(
    handle.workflowId,
    'renderCharacter',
    (activity) => activity.state === 'waiting' && activity.lastFailure !== null,
  );
  expect(lastFailure).toMatchObject({ code: 'DISK_FULL', next: 'Free disk space; the work goes on by itself.' });
  expect(lastFailure?.message).toMatch(/while writing .*\/Full-v1\/images\/full_0\d\d\.png /);
  const run = runOf('character_full_v1').directory;
  expect((await readStageFaults(run)).map(({ stage, code }) => [stage, code])).toEqual([['generate', 'DISK_FULL']]);
  const before = (await readJournal(join(run, 'images.jsonl'))).accepted;
  expect(before.size).toBeGreaterThanOrEqual(2);
  const images = join(machine.datasets, 'Full-v1', 'images');
  expect((await readdir(images)).filter((name) => name.startsWith('.'))).toEqual([]);
  // Nobody has to wait for the next try, a minute later.
  await handle.cancel();
  await expect(handle.result()).rejects.toThrow(WorkflowFailedError);

  await rm(marker);
  await machine.change({ renderMs: 60 });
  const result = await (await startCharacterLora(machine.tower.client, { run: 'character_full_v1' })).result();
  expect(result).toMatchObject({ images: { accepted: 12, rejected: 0 }, captions: { images: 12 } });
  const { accepted } = await readJournal(join(run, 'images.jsonl'));
  for (const [index, { promptId }] of before) expect(accepted.get(index)?.promptId).toBe(promptId);
});

it('walks down the memory ladder when the GPU is too small, and says how far (W28)', async () => {
  const handle = await trainWith({ kind: 'out-of-memory', atStep: 2, untilLaunch: 1 }, 'Small');
  const { training, run } = await handle.result();
  expect(training).toMatchObject({ executedSteps: training?.plannedSteps, launches: 2 });
  expect((await readSettled(runOf(run)))?.memoryRung).toBe(1);
  const faults = (await readLaunches(runOf(run))).map(({ fault }) => fault?.class);
  expect(faults).toEqual(['out-of-memory', undefined]);
});

it('ends a training whose loss is no number as failed, and delivers nothing (W9, W15)', async () => {
  const before = await machine.publishedLoras();
  const { code } = await failure(await trainWith({ kind: 'nan', atStep: 3 }, 'Nan'));
  expect(code).toBe('TRAINER_DIVERGED');
  expect(await machine.publishedLoras()).toEqual(before);
  expect(await machine.isGpuHeld()).toBe(false);
});

it('does not take a LoRA of zeros for a result, whatever the exit code says (W15, W27)', async () => {
  const before = await machine.publishedLoras();
  const { code } = await failure(await trainWith({ kind: 'zero-lora' }, 'Zero'));
  expect(code).toMatch(/^TRAINER_/);
  expect(await machine.publishedLoras()).toEqual(before);
});

it('waits for a ComfyUI that is away, and names it when it stays away (W1, W10)', async () => {
  await machine.change({ renderMs: 500 });
  const handle = await machine.start({ name: 'Away', count: 40, limits: { generate: { retries: 1 } } });
  await machine.accepted(handle.workflowId, 1);
  await comfyui.close();
  const { code, message } = await failure(handle);
  expect(code).toBe('COMFYUI_UNREACHABLE');
  expect(message).toContain('limits.generate.retries is 1');
  const faults = await readStageFaults(runOf('character_away_v1').directory);
  expect(faults.map(({ stage }) => stage)).toEqual(['generate', 'generate']);
});
