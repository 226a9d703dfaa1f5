import { copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { writeContactSheets } from '../../src/character/contact-sheet.js';
import { characterFolders, type CharacterFolders, givenDataset } from '../support/character-run.js';

let folders: CharacterFolders;
beforeEach(async () => (folders = await characterFolders()));
afterEach(() => folders.remove());

const options = () => ({ signal: new AbortController().signal, log: pino({ level: 'silent' }) });

const existing = (images: readonly string[], fields?: Readonly<Record<string, unknown>>) =>
  givenDataset(folders, images, fields);

describe('contact sheets', () => {
  it('a file that cannot be decoded is named, and not tried again', async () => {
    const run = await existing(['x_1.png', 'x_2.png']);
    const broken = join(run.dataset.images, 'x_2.png');
    await writeFile(broken, (await readFile(broken)).subarray(0, 200));
    const images = ['x_1.png', 'x_2.png'].map((file) => ({ file, index: null }));
    await expect(writeContactSheets(run, images, options())).rejects.toMatchObject({
      code: 'IMAGE_UNREADABLE',
      retryable: false,
      message: expect.stringContaining(broken) as string,
    });
  });

  it('have 80 images a page, and pages that are no longer needed go', async () => {
    const run = await existing(['x_1.png']);
    const { images, folder } = run.dataset;
    const names = Array.from({ length: 81 }, (_, index) => `x_${index + 1}.png`);
    for (const name of names.slice(1)) await copyFile(join(images, 'x_1.png'), join(images, name));
    const write = (shown: readonly string[]) =>
      writeContactSheets(
        run,
        shown.map((file) => ({ file, index: null })),
        options(),
      );
    expect(await write(names)).toEqual([run.dataset.contactSheet, join(folder, 'contact-sheet-002.jpg')]);
    const { width, height } = await sharp(run.dataset.contactSheet).metadata();
    expect((width ?? 0) / (height ?? 1)).toBeCloseTo(0.72, 1);
    expect(await write(names.slice(1))).toEqual([run.dataset.contactSheet]);
    expect((await readdir(folder)).filter((name) => name.startsWith('contact'))).toEqual(['contact-sheet.jpg']);
  });
});
