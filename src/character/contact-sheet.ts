import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import sharp from 'sharp';

import { describeError, TowerError } from '../errors.js';
import { namesIn } from '../files/absent.js';
import { writeFileDurable } from '../files/durable-write.js';
import type { CharacterRun } from './character-run.js';
import { digitsPath } from './digits.js';
import type { DatasetImage } from './dataset-images.js';
import { numberImages } from './image-numbers.js';

const columns = 8;
const rows = 10;
const cell = 208;
const labelHeight = 22;
const gap = 6;
/** Dark grey. */
const ground = 0x22;
const pageSize = columns * rows;

/**
 * Writes small pictures of a dataset's images with their numbers, 80 a page: `contact-sheet.jpg`, `contact-sheet-002.jpg`, …
 * Pages that are no longer needed are removed.
 *
 * @throws TowerError `IMAGE_UNREADABLE` naming the file.
 */
export async function writeContactSheets(
  run: Pick<CharacterRun, 'dataset' | 'job'>,
  images: readonly Pick<DatasetImage, 'file' | 'index'>[],
  { signal }: { readonly signal: AbortSignal },
): Promise<string[]> {
  const { dataset } = run;
  const numbers = await numberImages(run, images);
  const pages: string[] = [];
  for (let from = 0; from < images.length; from += pageSize) {
    signal.throwIfAborted();
    const path = pagePath(dataset.contactSheet, pages.length + 1);
    const shown = images
      .slice(from, from + pageSize)
      .map(({ file }) => ({ path: join(dataset.images, file), number: numbers.get(file) ?? 0 }));
    await writeFileDurable(path, await page(shown));
    pages.push(path);
  }
  for (const name of await namesIn(dataset.folder)) {
    const number = Number(/^contact-sheet-(\d{3,})\.jpg$/.exec(name)?.[1] ?? 0);
    if (number > pages.length) await rm(join(dataset.folder, name), { force: true });
  }
  return pages;
}

/** Page 1 has the plain name. */
function pagePath(first: string, number: number): string {
  return number === 1 ? first : first.replace(/\.jpg$/, `-${String(number).padStart(3, '0')}.jpg`);
}

interface Shown {
  readonly path: string;
  readonly number: number;
}

async function page(shown: readonly Shown[]): Promise<Buffer> {
  const across = Math.min(columns, shown.length);
  const down = Math.ceil(shown.length / columns);
  const width = gap + across * (cell + gap);
  const height = gap + down * (cell + labelHeight + gap);
  const pixels = Buffer.alloc(width * height * 3, ground);
  const labels: string[] = [];
  // One after the other: decoding many large images at once would need their memory at once.
  for (const [position, { path, number }] of shown.entries()) {
    const left = gap + (position % columns) * (cell + gap);
    const top = gap + Math.floor(position / columns) * (cell + labelHeight + gap);
    const small = await thumbnail(path);
    for (let row = 0; row < cell; row++) {
      small.copy(pixels, ((top + row) * width + left) * 3, row * cell * 3, (row + 1) * cell * 3);
    }
    labels.push(digitsPath(number, { left: left + 2, top: top + cell + 4, unit: 2.6 }));
  }
  // Drawn, not written: machines without fonts have contact sheets too.
  const drawn = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><path d="${labels.join('')}" fill="#fff"/></svg>`;
  const sheet = sharp(pixels, { raw: { width, height, channels: 3 } });
  return sheet
    .composite([{ input: Buffer.from(drawn) }])
    .jpeg({ quality: 82 })
    .toBuffer();
}

/** The whole image as red, green and blue, on black where it is no square. @throws TowerError `IMAGE_UNREADABLE` */
async function thumbnail(path: string): Promise<Buffer> {
  const small = sharp(path).resize(cell, cell, { fit: 'contain', background: '#000' });
  try {
    return await small.flatten({ background: '#fff' }).toColourspace('srgb').raw().toBuffer();
  } catch (error) {
    const [reason] = describeError(error).split('\n');
    throw new TowerError('IMAGE_UNREADABLE', `${path} cannot be decoded: ${reason ?? 'no reason given'}`, {
      next: 'Put a whole image in its place, or take it away.',
      cause: error,
    });
  }
}
