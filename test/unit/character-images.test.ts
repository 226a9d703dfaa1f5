import { copyFile, mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { checkImage, type ImageCheck } from '../../src/character/check-image.js';
import { checkThresholdsSchema } from '../../src/character/check-thresholds.js';
import { HashIndex } from '../../src/character/hash-index.js';
import { readJournal } from '../../src/character/journal.js';
import { openReceiver } from '../../src/character/receive-image.js';
import { SeededRandom } from '../../src/seeded-random.js';
import {
  characterFolders,
  picture,
  pictureOf,
  preparedRun,
  remaining,
  renderAll,
  type CharacterFolders,
} from '../support/character-run.js';

let folders: CharacterFolders;
beforeEach(async () => (folders = await characterFolders()));
afterEach(() => folders.remove());

const size = { width: 64, height: 64 };
const thresholds = checkThresholdsSchema.parse({});

async function check(name: string, known = new HashIndex(), expected = size): Promise<ImageCheck> {
  return checkImage(join(folders.root, name), { ...expected, thresholds, known });
}

async function write(name: string, image: sharp.Sharp): Promise<void> {
  await image.toFile(join(folders.root, name));
}

const plain = (colour: string) => sharp({ create: { ...size, channels: 3, background: colour } });

async function known(name: string): Promise<HashIndex> {
  const index = new HashIndex();
  const checked = await check(name);
  if (checked.ok) index.add(7, checked.facts.perceptualHash);
  return index;
}

describe('W2: an image counts when it decodes whole and is what was asked for', () => {
  it('size and hash are recorded', async () => {
    await picture(join(folders.root, 'a.png'), 1);
    const checked = await check('a.png');
    expect(checked).toMatchObject({
      ok: true,
      facts: { ...size, perceptualHash: expect.stringMatching(/^[0-9a-f]{16}$/) as string },
    });
    if (!checked.ok) return;
    expect(checked.facts.bytes).toBe((await readFile(join(folders.root, 'a.png'))).length);
    expect(checked.facts.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it('a truncated, broken, empty or missing file is no image', async () => {
    for (const name of ['cut.png', 'cut.jpg', 'cut.webp']) {
      const large = { width: 512, height: 512 };
      await (await pictureOf(1, large)).toFile(join(folders.root, name));
      const { length } = await readFile(join(folders.root, name));
      await truncate(join(folders.root, name), Math.floor(length * 0.6));
      expect(await check(name, new HashIndex(), large), name).toMatchObject({ ok: false, code: 'undecodable' });
    }
    await writeFile(join(folders.root, 'page.png'), '<html>502 Bad Gateway</html>');
    await writeFile(join(folders.root, 'empty.png'), '');
    for (const name of ['page.png', 'empty.png', 'missing.png']) {
      expect(await check(name), name).toMatchObject({ ok: false, code: 'undecodable' });
    }
    // Whole but for one byte in its middle: the checksum of a PNG says so.
    await picture(join(folders.root, 'flipped.png'), 1);
    const bytes = await readFile(join(folders.root, 'flipped.png'));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 0xff;
    await writeFile(join(folders.root, 'flipped.png'), bytes);
    expect(await check('flipped.png')).toMatchObject({ ok: false, code: 'undecodable' });
  });

  it('a wrong size is none', async () => {
    await picture(join(folders.root, 'a.png'), 1, { width: 64, height: 72 });
    expect(await check('a.png')).toMatchObject({
      ok: false,
      code: 'wrong-size',
      reason: '64×72 pixels instead of 64×64',
    });
  });

  it('a plain surface is none, whatever its colour; a small figure on white is one', async () => {
    for (const colour of ['black', 'white', '#7f7f7f', 'red']) {
      await write('flat.png', plain(colour));
      expect(await check('flat.png'), colour).toMatchObject({ ok: false, code: 'blank' });
    }
    const dot = Buffer.from(
      '<svg width="64" height="64"><rect x="28" y="20" width="8" height="24" fill="#933"/></svg>',
    );
    await write('figure.png', plain('white').composite([{ input: dot }]));
    expect(await check('figure.png')).toMatchObject({ ok: true });
  });

  it('a near-duplicate is none: compressed, lightened, smaller and back; another picture is one', async () => {
    await picture(join(folders.root, 'a.png'), 1);
    const index = await known('a.png');
    const path = join(folders.root, 'a.png');
    const copies: Record<string, sharp.Sharp> = {
      'same.png': sharp(path),
      'compressed.jpg': sharp(path).jpeg({ quality: 60 }),
      'lightened.png': sharp(path).linear(1, 6),
      'blurred.png': sharp(path).blur(1),
    };
    for (const [name, image] of Object.entries(copies)) {
      await write(name, image);
      expect(await check(name, index), name).toMatchObject({
        ok: false,
        code: 'near-duplicate',
        reason: expect.stringContaining('image 7') as string,
      });
    }
    await picture(join(folders.root, 'b.png'), 2);
    expect(await check('b.png', index)).toMatchObject({ ok: true });
    const lenient = { ...thresholds, nearDuplicates: false };
    const checked = await checkImage(join(folders.root, 'same.png'), { ...size, thresholds: lenient, known: index });
    expect(checked.ok).toBe(true);
  });
});

describe('the index of hashes', () => {
  it('finds the nearest, as a comparison bit by bit does', () => {
    const random = new SeededRandom('hashes');
    const hashes = Array.from({ length: 500 }, () => random.hex(16));
    const index = new HashIndex();
    hashes.forEach((hash, at) => index.add(at, hash));
    const bits = (a: string, b: string) => (BigInt(`0x${a}`) ^ BigInt(`0x${b}`)).toString(2).replaceAll('0', '').length;
    for (let round = 0; round < 100; round++) {
      const asked = random.hex(16);
      const nearest = index.nearest(asked);
      expect(nearest?.distance).toBe(Math.min(...hashes.map((hash) => bits(hash, asked))));
      expect(bits(hashes[nearest?.index ?? 0] ?? '', asked)).toBe(nearest?.distance);
    }
    expect(new HashIndex().nearest('0'.repeat(16))).toBeUndefined();
  });

  it('holds 10,000 images in little memory', () => {
    const random = new SeededRandom('many hashes');
    const index = new HashIndex();
    for (let at = 1; at <= 10_000; at++) index.add(at, random.hex(16));
    expect(index.size).toBe(10_000);
    expect(index.nearest(random.hex(16))?.distance).toBeGreaterThan(3);
  });
});

describe('images on their way into the dataset', () => {
  it('W5: each is recorded with index, seed, prompt id, file and hash', async () => {
    const run = await preparedRun(folders, { count: 3 });
    const receipts = await renderAll(run);
    expect(receipts).toEqual([{ result: 'accepted' }, { result: 'accepted' }, { result: 'accepted' }]);
    const { accepted } = await readJournal(run.paths.journal);
    expect([...accepted.values()].map(({ index, attempt, file }) => [index, attempt, file])).toEqual([
      [1, 0, 'images/elara_001.png'],
      [2, 0, 'images/elara_002.png'],
      [3, 0, 'images/elara_003.png'],
    ]);
    for (const { seed, promptId } of accepted.values()) expect(promptId).toBe(`prompt-${seed}`);
  });

  it('a rejected one is kept aside with the reason and rendered again with another seed', async () => {
    const run = await preparedRun(folders, { count: 3 });
    await renderAll(run, async (target, { image, attempt, seed }) => {
      if (image.index === 2 && attempt === 0) await plain('black').toFile(target);
      else if (image.index === 3 && attempt === 0) await copyFile(join(run.dataset.images, 'elara_001.png'), target);
      else await picture(target, seed);
    });
    const { accepted, rejected } = await readJournal(run.paths.journal);
    expect([...accepted.values()].map(({ index, attempt }) => [index, attempt])).toEqual([
      [1, 0],
      [2, 1],
      [3, 1],
    ]);
    expect(rejected.map(({ index, code, file, again }) => [index, code, file, again])).toEqual([
      [2, 'blank', 'rejected/elara_002-1.png', true],
      [3, 'near-duplicate', 'rejected/elara_003-1.png', true],
    ]);
    expect((await readdir(run.dataset.rejected)).sort()).toEqual(['elara_002-1.png', 'elara_003-1.png']);
    expect((await readdir(run.dataset.images)).sort()).toEqual(['elara_001.png', 'elara_002.png', 'elara_003.png']);
  });

  it('of two equal ones that come together one is taken, and each has a line of its own', async () => {
    const run = await preparedRun(folders, { count: 2, minImages: 1 });
    const receiver = await openReceiver(run);
    const queue = await remaining(run);
    for (const next of queue) await picture(receiver.targetOf(next), 1);
    const receipts = await Promise.all(
      queue.map((next) => receiver.receive({ remaining: next, path: receiver.targetOf(next), promptId: 'p' })),
    );
    await receiver.close();
    expect(receipts.map(({ result }) => result)).toEqual(['accepted', 'again']);
    const lines = (await readFile(run.paths.journal, 'utf8')).split('\n');
    expect(lines.map((line) => (line === '' ? '' : (JSON.parse(line) as { event: string }).event))).toEqual([
      'accepted',
      'rejected',
      '',
    ]);
  });

  it('is given up after its retries; others go on', async () => {
    const run = await preparedRun(folders, { count: 3, limits: { imageRetries: 2 } });
    const receipts = await renderAll(run, (target, { image, seed }) =>
      image.index === 2
        ? plain('white')
            .toFile(target)
            .then(() => undefined)
        : picture(target, seed),
    );
    expect(receipts.map(({ result }) => result)).toEqual(['accepted', 'again', 'again', 'given-up', 'accepted']);
    expect(await remaining(run)).toEqual([]);
    expect((await readdir(run.dataset.images)).map((name) => basename(name)).sort()).toEqual([
      'elara_001.png',
      'elara_003.png',
    ]);
    const seeds = (await readJournal(run.paths.journal)).rejected.map(({ seed }) => seed);
    expect(new Set(seeds).size).toBe(3);
  });

  it('one that ComfyUI cannot make counts as a try, too', async () => {
    const run = await preparedRun(folders, { count: 1, minImages: 1, limits: { imageRetries: 1 } });
    const receiver = await openReceiver(run);
    const [first] = await remaining(run);
    if (first === undefined) throw new Error('nothing remains');
    const failure = { reason: 'node 5: out of luck', promptId: 'p' };
    const again = await receiver.failed(first, failure);
    expect(again).toMatchObject({ result: 'again', next: { attempt: 1 }, reason: failure.reason });
    if (again.result !== 'again') return;
    expect(await receiver.failed(again.next, failure)).toEqual({ result: 'given-up', reason: failure.reason });
    expect([receiver.accepted, receiver.rejected]).toEqual([0, 2]);
    await receiver.close();
  });

  it('an image that comes a second time after a lost answer is no duplicate of itself', async () => {
    const run = await preparedRun(folders, { count: 1, minImages: 1 });
    const [first] = await remaining(run);
    if (first === undefined) throw new Error('nothing remains');
    for (let time = 0; time < 2; time++) {
      const receiver = await openReceiver(run);
      const path = receiver.targetOf(first);
      await picture(path, first.seed);
      expect(await receiver.receive({ remaining: first, path, promptId: 'p' })).toEqual({ result: 'accepted' });
      await receiver.close();
    }
    expect((await readJournal(run.paths.journal)).accepted.size).toBe(1);
  });

  it('a kill between file and journal costs that image only, and the dataset is the same in the end', async () => {
    const whole = await preparedRun(folders, { name: 'Whole', count: 4 });
    await renderAll(whole);
    const killed = await preparedRun(folders, { name: 'Killed', count: 4 });
    await mkdir(killed.dataset.images, { recursive: true });
    const receiver = await openReceiver(killed);
    const [first, second] = await remaining(killed);
    if (first === undefined || second === undefined) throw new Error('nothing remains');
    await picture(receiver.targetOf(first), first.seed);
    await receiver.receive({ remaining: first, path: receiver.targetOf(first), promptId: 'p' });
    await picture(receiver.targetOf(second), 12345);
    await receiver.close();
    expect((await remaining(killed)).map(({ image }) => image.index)).toEqual([2, 3, 4]);
    await renderAll(killed);
    const hashes = async (run: typeof whole) =>
      [...(await readJournal(run.paths.journal)).accepted.values()].map(({ index, sha256 }) => [index, sha256]);
    expect(await hashes(killed)).toEqual(await hashes(whole));
    await rm(killed.dataset.folder, { recursive: true });
  });
});
