import { copyFileSync, readdirSync, statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { pino } from 'pino';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';

import { makeRun } from '../../src/activities/character/prepare-run.js';
import { recordRun } from '../../src/activities/character/record-run.js';
import { captionDataset } from '../../src/character/caption-dataset.js';
import type { CharacterRun } from '../../src/character/character-run.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { readJournal } from '../../src/character/journal.js';
import { publishLora, readDelivery } from '../../src/character/publish.js';
import { applyReview } from '../../src/character/review.js';
import { writeGenerationMetadata } from '../../src/character/seed-files.js';
import { TowerError } from '../../src/errors.js';
import { sha256OfFile } from '../../src/files/sha256.js';
import { characterFolders, picture, renderAll, type CharacterFolders } from '../support/character-run.js';
import { fileError, fileFaults, noFileFaults, type FileCall } from '../support/faulty-files.js';

vi.mock('node:fs/promises', async (original) => {
  const { faultyFiles } = await import('../support/faulty-files.js');
  return faultyFiles(await original());
});

/** Calls that a full disk refuses. */
const needsSpace = new Set(['open', 'write', 'append', 'sync', 'mkdir', 'rename', 'link', 'copyFile']);
const options = { signal: new AbortController().signal, log: pino({ level: 'silent' }) };
const job = parseCharacterJob({
  ...{
    name: 'Elara',
    description: '1girl, brown hair',
    tags: ['1girl'],
    count: 4,
    minImages: 2,
    width: 64,
    height: 64,
  },
});

let folders: CharacterFolders;
let run: CharacterRun;
beforeAll(async () => {
  folders = await characterFolders();
  for (const seed of [1, 2, 3, 4]) await picture(painted(seed), seed);
  const red = { width: 64, height: 64, channels: 3, background: 'red' } as const;
  await sharp({ create: red }).toFile(join(folders.root, 'red.png'));
  await writeFile(source(), lora());
});
afterAll(() => folders.remove());

const painted = (seed: number) => join(folders.root, 'painted', `${seed}.png`);
const source = () => join(folders.root, 'chosen.safetensors');

function lora(): Buffer {
  const header = JSON.stringify({
    'lora_unet_x.lora_up.weight': { dtype: 'U8', shape: [64], data_offsets: [0, 64] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, Buffer.from(header), Buffer.alloc(64, 1)]);
}

/**
 * Does the work again and again, on a disk that is full from its first call on, then from its second, and so on, until it comes
 * to its end.
 *
 * @returns the files and folders that the errors named.
 */
async function everFuller(work: () => Promise<unknown>): Promise<string[]> {
  const named = new Set<string>();
  for (let room = 0; ; room += 1) {
    let calls = 0;
    fileFaults.decide = ({ name, path }: FileCall) =>
      needsSpace.has(name) && (calls += 1) > room ? fileError('ENOSPC', path) : 'go';
    const error: unknown = await work().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    noFileFaults();
    if (error === undefined) {
      expect(room).toBeGreaterThan(0);
      return [...named].sort();
    }
    if (!(error instanceof TowerError)) throw error as Error;
    expect(error).toMatchObject({
      code: 'DISK_FULL',
      retryable: true,
      retryAfterMs: 60_000,
      next: expect.stringContaining('Free') as string,
    });
    const [, path = ''] = /while writing (.+)$/.exec(error.message) ?? [];
    named.add(path.slice(folders.root.length + 1));
    expect(hiddenFiles()).toEqual([]);
  }
}

/** Without those that stand for something. */
function hiddenFiles(): string[] {
  const files = readdirSync(folders.root, { recursive: true, withFileTypes: true });
  return files
    .filter(({ name }) => name.startsWith('.') && name !== '.tower.json' && !name.startsWith('.tower-alias-'))
    .map(({ parentPath, name }) => join(parentPath, name))
    .filter((path) => statSync(path).nlink < 2);
}

it('preparing a run names its folder or the dataset’s, and takes one number', async () => {
  const named = await everFuller(async () => {
    run = await makeRun({ ...folders, job, owner: 'w', run: undefined });
  });
  expect(named).toEqual([
    'datasets/Elara-v1',
    'runs/character_elara_v1',
    'runs/character_elara_v1/job.json',
    'runs/character_elara_v1/plan.json',
  ]);
  expect(readdirSync(folders.runs)).toEqual(['character_elara_v1']);
  expect(readdirSync(folders.datasets)).toEqual(['Elara-v1']);
});

it('an image that could not be recorded is taken when there is room, and a rejected one is not lost', async () => {
  const paint = (target: string, { attempt, image }: { attempt: number; image: { index: number } }) => {
    copyFileSync(image.index === 2 && attempt === 0 ? join(folders.root, 'red.png') : painted(image.index), target);
    return Promise.resolve();
  };
  const named = await everFuller(() => renderAll(run, paint));
  const inDataset = (path: string) => `datasets/Elara-v1/${path}`;
  expect(named).toEqual([
    inDataset('images'),
    inDataset('rejected/elara_002-1.png'),
    'runs/character_elara_v1/images.jsonl',
  ]);
  const { accepted, rejected } = await readJournal(run.paths.journal);
  expect([...accepted.keys()].sort()).toEqual([1, 2, 3, 4]);
  expect(rejected.map(({ index, code }) => [index, code])).toEqual([[2, 'blank']]);
  expect(readdirSync(run.dataset.rejected)).toEqual(['elara_002-1.png']);
});

it('metadata, captions and contact sheet are whole or not there, and an edited caption stays', async () => {
  expect(await everFuller(() => writeGenerationMetadata(run))).toEqual(['datasets/Elara-v1/generation_metadata.json']);
  await everFuller(() => captionDataset(run, options));
  const decision = { approve: true, reject: [{ index: 3 }], captions: [{ index: 1, caption: 'elara, mine' }] };
  await everFuller(() => applyReview(run, decision));
  expect(await captionDataset(run, options)).toMatchObject({ images: 3, kept: 1 });
  expect(await readFile(join(run.dataset.images, 'elara_001.txt'), 'utf8')).toBe('elara, mine');
  expect(readdirSync(run.dataset.images)).toEqual(
    [1, 2, 4].flatMap((index) => [`elara_00${index}.png`, `elara_00${index}.txt`]),
  );
});

it('one LoRA is published, whole, with its alias and its sidecar', async () => {
  const request = {
    ...{ run: 'character_elara_v1', source: source(), sha256: await sha256OfFile(source()), loras: folders.loras },
    ...{ output: 'elara', alias: true, simulated: false, deliverSimulated: false, record: run.paths.delivery },
  };
  const named = await everFuller(() => publishLora(request, options));
  expect(named.map((path) => basename(path))).toEqual(expect.arrayContaining(['loras', 'delivery.json']));
  await mkdir(run.paths.proofImages);
  await everFuller(() => recordRun(run, { outcome: 'succeeded', reason: 'a test' }));
  expect(readdirSync(folders.loras).filter((name) => !name.startsWith('.tower-alias-'))).toEqual([
    'elara-v1.json',
    'elara-v1.safetensors',
    'elara.safetensors',
  ]);
  expect(await readDelivery(run.paths.delivery)).toMatchObject({ version: 1, alias: 'elara.safetensors' });
});
