import { mkdtemp, readFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import sharp from 'sharp';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { checkDataset, type DatasetCheck } from '../../src/kohya/check-dataset.js';
import { writeImages } from '../support/kohya-bench.js';

let home: string;
let folder: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  folder = join(home, 'images');
  await writeImages(folder, 3);
});
afterEach(() => rm(home, { recursive: true }));

function check(options: { enable_wildcard?: boolean } = {}): Promise<DatasetCheck> {
  return checkDataset({ folder, options: { caption_extension: '.txt', ...options }, record: join(home, 'check.json') });
}

it('counts images and sizes, of every kind of file that sd-scripts finds', async () => {
  const image = sharp({ create: { width: 80, height: 64, channels: 3, background: 'red' } });
  await image.clone().jpeg().toFile(join(folder, 'other.JPG'));
  await writeFile(join(folder, 'other.txt'), 'elara\n');
  await writeFile(join(folder, 'notes.md'), 'no image');
  const { images, sizes } = await check();
  expect(images).toBe(4);
  expect(sizes).toEqual(
    expect.arrayContaining([
      { width: 64, height: 64, images: 3 },
      { width: 80, height: 64, images: 1 },
    ]),
  );
});

it('a bitmap is refused by name: it could not be looked at', async () => {
  await writeFile(join(folder, 'old.BMP'), 'BM');
  await writeFile(join(folder, 'old.txt'), 'elara\n');
  await expect(check()).rejects.toThrow('old.BMP: bitmaps (BMP) are not taken, convert it to PNG');
});

it('a whole bitmap is taken among pictures for regularisation', async () => {
  const bitmap = Buffer.alloc(30);
  bitmap.write('BM');
  bitmap.writeUInt32LE(bitmap.length, 2);
  bitmap.writeInt32LE(64, 18);
  bitmap.writeInt32LE(-64, 22);
  await writeFile(join(folder, 'old.bmp'), bitmap);
  await writeFile(join(folder, 'old.txt'), 'elara\n');
  const regularisation = { folder, options: { caption_extension: '.txt' }, record: join(home, 'check.json') };
  expect(await checkDataset({ ...regularisation, bitmaps: true })).toMatchObject({
    images: 4,
    sizes: [{ width: 64, height: 64, images: 4 }],
  });
  await truncate(join(folder, 'old.bmp'), 20);
  await expect(checkDataset({ ...regularisation, bitmaps: true })).rejects.toThrow('no complete bitmap');
});

it('names every file that sd-scripts would stumble over', async () => {
  await truncate(join(folder, 'elara_001.png'), 60);
  await writeFile(join(folder, 'elara_002.txt'), '\nsecond line');
  await rm(join(folder, 'elara_003.txt'));
  await writeFile(join(folder, 'mixed.Png'), '');
  await expect(check()).rejects.toMatchObject({
    code: 'KOHYA_DATASET_INVALID',
    retryable: false,
    message: expect.stringMatching(
      /mixed\.Png: .*elara_001\.png: the image does not decode.*elara_002\.txt: the caption is empty.*elara_003\.txt: there is no caption/,
    ) as string,
  });
  await writeFile(join(folder, 'elara_003.txt'), Buffer.from([0xff, 0xfe]));
  await expect(check()).rejects.toThrow('the caption is not UTF-8');
});

it('a small file that claims a picture of 12,000 × 12,000 is refused before it fills the memory', async () => {
  const path = join(folder, 'elara_002.png');
  const bytes = await readFile(path);
  bytes.writeUInt32BE(12_000, 16);
  bytes.writeUInt32BE(12_000, 20);
  bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
  await writeFile(path, bytes);
  await expect(check()).rejects.toThrow(/elara_002\.png: the image does not decode \(Input image exceeds pixel limit/);
});

it('takes a caption of several lines with wildcards', async () => {
  await writeFile(join(folder, 'elara_002.txt'), '\nsecond line');
  expect(await check({ enable_wildcard: true })).toMatchObject({ images: 3 });
});

it('an empty folder is refused, and one that is not there', async () => {
  await rm(folder, { recursive: true });
  await expect(check()).rejects.toThrow('holds no image');
});

it('files that have not changed are not decoded again; a change shows', async () => {
  const first = await check();
  const image = join(folder, 'elara_001.png');
  const bytes = await readFile(image);
  expect(await check()).toEqual(first);
  // Replaced in a way that size and time do not tell.
  await writeFile(join(home, 'new.png'), Buffer.alloc(bytes.length));
  await utimes(join(home, 'new.png'), new Date(1e12), new Date(1e12));
  await utimes(image, new Date(1e12), new Date(1e12));
  await check();
  await rename(join(home, 'new.png'), image);
  await expect(check()).rejects.toThrow('elara_001.png: the image does not decode');
});
