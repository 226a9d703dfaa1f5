import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { WorkflowFailedError } from '@temporalio/client';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { readStageFaults } from '../../src/character/stage-faults.js';
import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { failureOf, type FailureText } from '../../src/cli/runs/workflow-failure.js';
import { startCharacterLora } from '../../src/client.js';
import { livingLaunches } from '../../src/training/launch-record.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { CharacterMachine } from '../support/character-machine.js';
import { characterFolders, picture } from '../support/character-run.js';
import { waitUntil } from '../support/wait-until.js';

const fullDisk = fileURLToPath(new URL('fixtures/full-disk.js', import.meta.url));
const stages = fileURLToPath(new URL('fixtures/character-disk-full-stages.js', import.meta.url));
/** A disk of 4 MiB, in a mount namespace that ends with the process; an ordinary user may do that, too. */
const onSmallDisk = 'mount -t tmpfs -o size=4m tmpfs "$1" && exec "$2" "$3" "$1" "$4"';

let machine: CharacterMachine;
/** Of a run that no disk troubled. */
let dataset: string;

beforeAll(async () => {
  machine = await CharacterMachine.create({
    comfyui: { renderMs: 20 },
    environment: { NODE_OPTIONS: `--import ${fullDisk}` },
    settings: { character: { maxConcurrent: 20 } },
  });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
  ({ dataset } = await (await start('Before', images)).result());
});
afterAll(() => machine.close());

const small = { count: 3, kohya: { max_train_epochs: 1 } };
const images = { stages: ['generate', 'tag'] };
const training = () => ({ count: undefined, stages: ['train'], dataset });
const start = (name: string, job: Readonly<Record<string, unknown>>) => machine.start({ ...small, ...job, name });

const marker = () => join(machine.tower.home, 'disk-is-full');
const runDirectoryOf = (name: string) => join(machine.tower.paths.runs, `character_${name.toLowerCase()}_v1`);

/** Paths that cannot be written, as regular expressions. */
async function fill(paths: readonly string[]): Promise<void> {
  // At once: workers read it at any time.
  await writeFile(`${marker()}.new`, paths.join('\n'));
  await rename(`${marker()}.new`, marker());
}

interface Case {
  readonly name: string;
  readonly job: () => Readonly<Record<string, unknown>>;
  readonly activity: string;
  /** What cannot be written. */
  readonly full: string;
  /** How the failure names it. */
  readonly named: string;
  /** In the run's record of what its stages waited for. */
  readonly stage?: string;
}

const cases: readonly Case[] = [
  {
    ...{ name: 'Plan', job: () => images, activity: 'prepareCharacter' },
    ...{ full: '_plan_v1/\\.plan', named: 'character_plan_v1/plan.json' },
  },
  {
    ...{ name: 'Render', job: () => images, activity: 'renderCharacter', stage: 'generate' },
    ...{ full: 'Render-v1/images/', named: 'Render-v1/images/render_00' },
  },
  {
    ...{ name: 'Journal', job: () => images, activity: 'renderCharacter', stage: 'generate' },
    ...{ full: '_journal_v1/images\\.jsonl', named: 'character_journal_v1/images.jsonl' },
  },
  {
    ...{ name: 'Finish', job: () => images, activity: 'finishImages', stage: 'generate' },
    ...{ full: 'Finish-v1/\\.generation', named: 'Finish-v1/generation_metadata.json' },
  },
  {
    ...{ name: 'Caption', job: () => images, activity: 'captionCharacter', stage: 'tag' },
    ...{ full: 'Caption-v1/images/.*txt', named: 'Caption-v1/images/caption_001.txt' },
  },
  {
    ...{ name: 'Train', job: training, activity: 'trainCharacter', stage: 'train' },
    ...{ full: '_train_v1/\\.config', named: 'character_train_v1/config.toml' },
  },
  {
    ...{ name: 'Choose', job: training, activity: 'chooseEpoch', stage: 'deliver' },
    ...{ full: '_choose_v1/\\.choice', named: 'character_choose_v1/choice.json' },
  },
  {
    ...{ name: 'Publish', job: training, activity: 'publishLora', stage: 'deliver' },
    ...{ full: 'loras/\\.tower-character_publish', named: 'models/loras' },
  },
  {
    ...{ name: 'Prove', job: training, activity: 'proveLora', stage: 'deliver' },
    ...{ full: '_prove_v1/proof/', named: 'character_prove_v1/proof/without-lora.png' },
  },
  {
    ...{ name: 'Alias', job: () => ({ ...training(), deliver: { simulated: true, alias: true } }) },
    ...{ activity: 'publishAlias', stage: 'deliver', full: '_alias_v1-alias', named: 'models/loras' },
  },
  {
    ...{ name: 'Record', job: training, activity: 'recordCharacter' },
    ...{ full: '_record_v1/\\.outcome', named: 'character_record_v1/outcome.json' },
  },
];

it(
  'a full disk in any stage is waited for, visibly, and the run goes on by itself when there is room (W10)',
  { timeout: 400_000 },
  async () => {
    await fill(cases.map(({ full }) => full));
    const runs = await Promise.all(
      cases.map(async (expected) => ({ ...expected, handle: await start(expected.name, expected.job()) })),
    );
    const waiting = runs.map(async ({ name, handle, activity, named, stage }) => {
      const { lastFailure } = await machine.activity(
        handle.workflowId,
        activity,
        ({ state, lastFailure: failed }) => state === 'waiting' && failed?.code === 'DISK_FULL',
        // Some come to their full disk after all others have rendered and trained, on the same GPU.
        180_000,
      );
      expect(lastFailure?.next).toBe('Free disk space; the work goes on by itself.');
      expect(lastFailure?.message).toContain(`no space left on the disk while writing `);
      expect(lastFailure?.message).toContain(named);
      const faults = await readStageFaults(runDirectoryOf(name));
      expect(faults.map((fault) => [fault.stage, fault.code])).toEqual(
        stage === undefined ? [] : [[stage, 'DISK_FULL']],
      );
    });
    await Promise.all(waiting);
    // One that is trying again at this very moment does not wait.
    await waitUntil('all reasons in the status', async () => {
      const { stdout } = await machine.tower.tower('status');
      return cases.every(({ activity }) =>
        new RegExp(`${activity} waits: no space left on the disk while writing .*\\[DISK_FULL\\]`).test(String(stdout)),
      );
    });
    await noHiddenFiles();

    await rm(marker());
    for (const { name, handle } of runs) {
      const { outcome, training: trained, proof } = await handle.result();
      expect(outcome).toBe('simulated');
      if (trained === null) continue;
      expect(trained).toMatchObject({ executedSteps: trained.plannedSteps, launches: 1 });
      expect([name, proof?.changedShare]).toEqual([name, expect.any(Number)]);
    }
    await noHiddenFiles();
  },
);

it('a disk that stays full: the run fails when its stage is over, and names the disk and the next step', async () => {
  // Not even the faults, the stop and the end of the run can be written.
  const records = '\\.stage-faults|\\.outcome|stops/';
  await fill([`_stuck_v1/(\\.config|${records})`, `_starved_v1/(\\.choice|${records})`]);
  const failed = [
    { name: 'Stuck', stage: 'train', activity: 'trainCharacter', file: 'config.toml' },
    { name: 'Starved', stage: 'deliver', activity: 'chooseEpoch', file: 'choice.json' },
  ];
  // Long enough to be tried once, however slow this machine is.
  const ends = failed.map(async ({ name, stage, activity, file }) => {
    const limits = { [stage]: { timeoutMinutes: 0.5 } };
    const { code, message, next } = await failure(await start(name, { ...training(), limits }));
    expect(code).toBe('STAGE_TIMED_OUT');
    const place = join(runDirectoryOf(name), file);
    expect(message).toContain(
      `the stage ${stage} was ended after 30 s, as the job says; ` +
        `${activity} was waiting: no space left on the disk while writing ${place}`,
    );
    expect(next).toMatch(/^Free disk space, or raise the timeout of (train|deliver), then let the run go on/);
    expect(existsSync(join(runDirectoryOf(name), 'outcome.json'))).toBe(false);
  });
  await Promise.all(ends);
  expect(await machine.isGpuHeld()).toBe(false);

  await rm(marker());
  const result = await (await startCharacterLora(machine.tower.client, { run: 'character_starved_v1' })).result();
  expect(result).toMatchObject({ training: { launches: 1 }, lora: { outcome: 'published' } });
});

it('a run that is cancelled on a full disk ends, and so does its trainer', async () => {
  const kohya = { max_train_epochs: 300 };
  const handle = await start('Cancelled', { ...training(), kohya });
  await machine.trainingAtStep(handle.workflowId, 2);
  await fill(['character_cancelled_v1/(\\.outcome|stops/)']);
  await handle.cancel();
  await expect(handle.result()).rejects.toThrow(WorkflowFailedError);
  expect((await handle.describe()).status.name).toBe('CANCELLED');
  expect(await livingLaunches(runDirectory(runDirectoryOf('Cancelled')))).toEqual([]);
  expect(await machine.isGpuHeld()).toBe(false);
  await rm(marker());
});

it('on a disk that is really full each stage leaves nothing half done, and does its work when there is room', async () => {
  const folders = await characterFolders();
  try {
    const [disk, pictures] = [join(folders.root, 'small'), join(folders.root, 'pictures')];
    await mkdir(disk);
    for (const index of [1, 2, 3]) await picture(join(pictures, `${index}.png`), index);
    await writeFile(join(pictures, 'lora.safetensors'), lora(200_000));
    const script = ['-c', onSmallDisk, 'sh', disk, process.execPath, stages, pictures];
    const { stdout } = await execa('unshare', ['--map-root-user', '--mount', 'sh', ...script]);
    const full = (file: string) => ({
      code: 'DISK_FULL',
      retryable: true,
      message: expect.stringContaining(file) as string,
    });
    expect(stdout.split('\n').map((line) => JSON.parse(line) as unknown)).toEqual([
      { stage: 'reserve', full: full('runs/character_elara_v1'), then: 'done' },
      { stage: 'journal', full: full('images.jsonl'), then: 'done' },
      { stage: 'captions', full: full('Elara-v1'), then: 'done' },
      { stage: 'publish', full: full('loras'), then: 'done' },
      {
        ...{ stage: 'check', accepted: [1, 2, 3], loras: ['elara-v1.safetensors', 'elara.safetensors'] },
        ...{ hidden: 0, captions: 3 },
      },
    ]);
  } finally {
    await folders.remove();
  }
});

async function failure(handle: CharacterLoraHandle): Promise<FailureText> {
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError)) throw new Error('it has not failed', { cause: error });
  return failureOf(error.cause);
}

/** Whoever is at work has some for a moment. */
async function noHiddenFiles(): Promise<void> {
  await waitUntil('no hidden file', () => hiddenFiles().length === 0);
}

/** Temporary files of runs, datasets and LoRAs. */
function hiddenFiles(): string[] {
  return [machine.tower.paths.runs, machine.datasets, machine.loras]
    .flatMap((folder) => readdirSync(folder, { recursive: true, withFileTypes: true }))
    .map(({ name }) => name)
    .filter((name) => name.startsWith('.') && name !== '.tower.json' && !name.startsWith('.tower-alias-'));
}

function lora(bytes: number): Buffer {
  const tensor = { dtype: 'U8', shape: [bytes], data_offsets: [0, bytes] };
  const header = JSON.stringify({ 'lora_unet_x.lora_up.weight': tensor });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(bytes, 1)]);
}
