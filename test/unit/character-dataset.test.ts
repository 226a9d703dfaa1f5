import { appendFile, mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { createRun, openRun } from '../../src/character/character-run.js';
import { reserveRun, type ReserveRequest } from '../../src/character/dataset.js';
import { parseCharacterJob } from '../../src/character/job-file.js';
import { openJournal, readJournal, type JournalEvent } from '../../src/character/journal.js';
import {
  characterFolders,
  preparedRun,
  remaining,
  renderAll,
  type CharacterFolders,
} from '../support/character-run.js';

let folders: CharacterFolders;
beforeEach(async () => (folders = await characterFolders()));
afterEach(() => folders.remove());

const reserve = (owner: string, job: Partial<ReserveRequest['job']> = {}) =>
  reserveRun({ ...folders, owner, job: { name: 'Elara', ...job } });

describe('a run and its dataset', () => {
  it('take the next free number, and making the folder is the reservation', async () => {
    await mkdir(join(folders.datasets, 'Elara-v3'));
    const first = await reserve('a');
    expect(first).toEqual({
      run: 'character_elara_v4',
      // Another Tower that uses the same ComfyUI may have an Elara too.
      renderKey: expect.stringMatching(/^character_elara_v4-[0-9a-f]{8}$/) as string,
      number: 4,
      runDirectory: join(folders.runs, 'character_elara_v4'),
      dataset: join(folders.datasets, 'Elara-v4'),
    });
    expect((await stat(first.dataset)).isDirectory()).toBe(true);
    expect(await reserve('b')).toMatchObject({ number: 5 });
    expect(await reserve('a')).toEqual(first);
    expect((await readdir(folders.datasets)).sort()).toEqual(['Elara-v3', 'Elara-v4', 'Elara-v5']);
  });

  it('W18: of twenty that begin at the same moment each gets its own, also under names that differ only in case', async () => {
    const names = ['Elara', 'elara', 'ELARA', 'Élara'];
    const all = await Promise.all(
      Array.from({ length: 20 }, (_, index) => reserve(`owner ${index}`, { name: names[index % names.length] ?? '' })),
    );
    expect(new Set(all.map(({ run }) => run)).size).toBe(20);
    expect(new Set(all.map(({ dataset }) => dataset.toLowerCase())).size).toBe(20);
    const again = await Promise.all(
      Array.from({ length: 20 }, (_, index) => reserve(`owner ${index}`, { name: names[index % names.length] ?? '' })),
    );
    expect(again).toEqual(all);
  });

  it('two attempts of one owner at the same moment get one reservation', async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => reserve('the same')));
    for (const one of all) expect(one).toEqual(all[0]);
    expect(await readdir(folders.datasets)).toHaveLength(1);
    expect(await readdir(folders.runs)).toHaveLength(1);
  });

  it('a crash between the two folders costs nothing', async () => {
    const first = await reserve('a');
    await rm(first.dataset, { recursive: true });
    expect(await reserve('a')).toEqual(first);
    expect((await stat(first.dataset)).isDirectory()).toBe(true);
    // Somebody else has made the folder meanwhile.
    await rm(first.dataset, { recursive: true });
    await mkdir(first.dataset);
    await writeFile(join(first.dataset, 'mine.txt'), 'x');
    const second = await reserve('a');
    expect(second.dataset).not.toBe(first.dataset);
    expect(await readFile(join(first.dataset, 'mine.txt'), 'utf8')).toBe('x');
  });

  it('W22: every name stays inside the two folders', async () => {
    for (const name of ['../../etc', '/', '..', 'ü/ö', '🐉', 'x'.repeat(300)]) {
      const { dataset, runDirectory } = await reserve(name, { name });
      expect(join(dataset, '..')).toBe(folders.datasets);
      expect(join(runDirectory, '..')).toBe(folders.runs);
    }
  });

  it('a long name whose run is gone gets the next number, whatever its case', async () => {
    const name = 'Elara of the Northern Woods '.repeat(4);
    const first = await reserve('a', { name });
    await rm(first.runDirectory, { recursive: true });
    const second = await reserve('b', { name });
    expect([first.number, second.number]).toEqual([1, 2]);
    expect(await reserve('c', { name })).toMatchObject({ number: 3 });
  });

  it('outputDir is used when it is new or empty, and never when it has files of others', async () => {
    const outputDir = join(folders.root, 'mine');
    expect(await reserve('a', { outputDir })).toMatchObject({ dataset: outputDir, number: 1 });
    expect(await reserve('a', { outputDir })).toMatchObject({ dataset: outputDir, number: 1 });
    await expect(reserve('b', { outputDir })).rejects.toMatchObject({ code: 'DATASET_FOLDER_TAKEN' });
    await mkdir(join(folders.root, 'empty'));
    expect(await reserve('c', { outputDir: join(folders.root, 'empty') })).toMatchObject({ number: 2 });
    expect(await readdir(folders.runs)).toHaveLength(2);
  });

  it('an existing dataset must have images', async () => {
    const dataset = join(folders.root, 'old');
    await mkdir(join(dataset, 'images'), { recursive: true });
    await expect(reserve('a', { dataset })).rejects.toMatchObject({ code: 'DATASET_MISSING' });
    await writeFile(join(dataset, 'images', 'a.png'), 'x');
    expect(await reserve('a', { dataset })).toMatchObject({ dataset, run: 'character_elara_v1' });
    expect(await readdir(dataset)).toEqual(['images']);
  });

  it('a file, a folder below one, and a name that is too long are refused for good', async () => {
    const file = join(folders.root, 'photo.jpg');
    await writeFile(file, 'mine');
    for (const [outputDir, code] of [
      [file, 'DATASET_FOLDER_TAKEN'],
      [join(file, 'below'), 'DATASET_FOLDER_TAKEN'],
      [join(folders.root, 'x'.repeat(300)), 'DATASET_FOLDER_UNUSABLE'],
    ] as const) {
      await expect(reserve('a', { outputDir })).rejects.toMatchObject({ code, retryable: false });
    }
    expect(await readFile(file, 'utf8')).toBe('mine');
    expect(await readdir(folders.runs)).toEqual([]);
  });

  it('a folder that may not be written is named', async () => {
    const refused = reserve('a', { outputDir: '/sys/tower/x' });
    await expect(refused).rejects.toMatchObject({ code: 'NO_PERMISSION', message: /\/sys\/tower\/x/ });
    expect(await readdir(folders.runs)).toEqual([]);
  });
});

describe('job.json', () => {
  it('is written once, and says everything', async () => {
    const run = await preparedRun(folders, { count: 3 });
    expect(await openRun(run.paths.directory)).toEqual(run);
    expect(await createRun(run.paths.directory, run.job)).toEqual(run);
    const other = parseCharacterJob({ ...run.job, count: 4, minImages: 1 });
    await expect(createRun(run.paths.directory, other)).rejects.toMatchObject({ code: 'RUN_HAS_ANOTHER_JOB' });
    const { baseModelKind, ...older } = run.job;
    await writeFile(run.paths.job, JSON.stringify({ ...older, baseModel: baseModelKind }));
    expect(await openRun(run.paths.directory)).toEqual(run);
    // Two kinds, or a key of a job file that is no job's.
    for (const stray of [
      { ...run.job, baseModel: 'flux' },
      { ...run.job, epochs: 3 },
    ]) {
      await writeFile(run.paths.job, JSON.stringify(stray));
      await expect(openRun(run.paths.directory)).rejects.toMatchObject({ code: 'FILE_INVALID' });
    }
    await expect(openRun(join(folders.runs, 'none'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('W7: the journal has each image at once', () => {
  const accepted = (index: number, attempt = 0): JournalEvent => ({
    ...{ event: 'accepted', at: '2026-01-31T13:00:00.000Z', index, attempt, seed: 7, promptId: 'p' },
    ...{
      file: `images/x_${index}.png`,
      bytes: 1,
      sha256: 'a'.repeat(64),
      width: 1,
      height: 1,
      perceptualHash: '0'.repeat(16),
    },
  });
  const rejected = (
    index: number,
    attempt: number,
    code: 'blank' | 'person' = 'blank',
    again = true,
  ): JournalEvent => ({
    ...{ event: 'rejected', at: '2026-01-31T13:00:01.000Z', index, attempt, seed: 7, promptId: 'p' },
    ...{ code, reason: 'x', file: null, again },
  });
  let path: string;
  beforeEach(() => (path = join(folders.root, 'images.jsonl')));

  async function write(...events: JournalEvent[]) {
    const journal = await openJournal(path);
    await journal.append(events);
    await journal.close();
  }

  it('a missing one is empty; each append is on disk when it returns', async () => {
    expect((await readJournal(path)).accepted.size).toBe(0);
    const journal = await openJournal(path);
    for (let index = 1; index <= 3; index++) {
      await journal.append([accepted(index)]);
      expect((await readFile(path, 'utf8')).split('\n')).toHaveLength(index + 1);
    }
    await journal.close();
  });

  it('a line that a crash cut short is left out, and nothing is lost after it', async () => {
    await write(accepted(1));
    await appendFile(path, '{"event":"accepted","at":"2026-01');
    expect([...(await readJournal(path)).accepted.keys()]).toEqual([1]);
    await write(accepted(2));
    expect([...(await readJournal(path)).accepted.keys()]).toEqual([1, 2]);
  });

  it('a whole line of something else is a fault that names the line', async () => {
    await write(accepted(1));
    await appendFile(path, '{"event":"accepted"}\n');
    await expect(readJournal(path)).rejects.toMatchObject({ code: 'FILE_INVALID', message: /line 2/ });
  });

  it('an event of another version is left out: a run whose other worker is newer goes on', async () => {
    await write(accepted(1));
    await appendFile(path, '{"event":"admired","at":"2026-01-01T00:00:00.000Z"}\n');
    await write(accepted(2));
    expect([...(await readJournal(path)).accepted.keys()]).toEqual([1, 2]);
  });

  it('counts tries; what a person rejects gets new ones; a repeated rejection counts once', async () => {
    await write(rejected(1, 0), rejected(1, 0), rejected(1, 1), accepted(1, 2));
    expect((await readJournal(path)).rejected).toHaveLength(2);
    await write(rejected(1, 2, 'person'), rejected(2, 0, 'person', false));
    const state = await readJournal(path);
    expect([...state.accepted.keys()]).toEqual([]);
    expect([state.attempts.get(1), state.faults.get(1)]).toEqual([3, 0]);
    expect([...state.dropped]).toEqual([2]);
  });

  it('only what it lacks is rendered after a restart', async () => {
    const run = await preparedRun(folders, { count: 5 });
    const before = await remaining(run);
    expect(before.map(({ image }) => image.index)).toEqual([1, 2, 3, 4, 5]);
    path = run.paths.journal;
    await write(accepted(2), accepted(4), rejected(1, 0));
    const after = await remaining(run);
    expect(after.map(({ image, attempt }) => [image.index, attempt])).toEqual([
      [1, 1],
      [3, 0],
      [5, 0],
    ]);
    expect(after[0]?.seed).not.toBe(before[0]?.seed);
    await renderAll(run);
    expect(await remaining(run)).toEqual([]);
  });
});
