import { rm } from 'node:fs/promises';
import { join } from 'node:path';

import sharp from 'sharp';

import { namesIn } from '../files/absent.js';
import { writeFileDurable } from '../files/durable-write.js';
import type { CharacterRun } from './character-run.js';
import { digitsPath } from './digits.js';
import { indexInName } from './dataset-images.js';

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
 */
export async function writeContactSheets(
  { dataset }: Pick<CharacterRun, 'dataset'>,
  images: readonly { readonly image: string }[],
  { signal }: { readonly signal: AbortSignal },
): Promise<string[]> {
  const pages: string[] = [];
  for (let from = 0; from < images.length; from += pageSize) {
    signal.throwIfAborted();
    const path = pagePath(dataset.contactSheet, pages.length + 1);
    const shown = images.slice(from, from + pageSize).map(({ image }) => join(dataset.images, image));
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

async function page(paths: readonly string[]): Promise<Buffer> {
  const across = Math.min(columns, paths.length);
  const down = Math.ceil(paths.length / columns);
  const width = gap + across * (cell + gap);
  const height = gap + down * (cell + labelHeight + gap);
  const pixels = Buffer.alloc(width * height * 3, ground);
  const labels: string[] = [];
  // One after the other: decoding many large images at once would need their memory at once.
  for (const [position, path] of paths.entries()) {
    const left = gap + (position % columns) * (cell + gap);
    const top = gap + Math.floor(position / columns) * (cell + labelHeight + gap);
    const small = await thumbnail(path);
    for (let row = 0; row < cell; row++) {
      small.copy(pixels, ((top + row) * width + left) * 3, row * cell * 3, (row + 1) * cell * 3);
    }
    const number = indexInName(path);
    if (number !== null) labels.push(digitsPath(number, { left: left + 2, top: top + cell + 4, unit: 2.6 }));
  }
  // Drawn, not written: machines without fonts have contact sheets too.
  const drawn = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}"><path d="${labels.join('')}" fill="#fff"/></svg>`;
  const sheet = sharp(pixels, { raw: { width, height, channels: 3 } });
  return sheet
    .composite([{ input: Buffer.from(drawn) }])
    .jpeg({ quality: 82 })
    .toBuffer();
}

/** The whole image as red, green and blue, on black where it is no square. */
async function thumbnail(path: string): Promise<Buffer> {
  const small = sharp(path).resize(cell, cell, { fit: 'contain', background: '#000' });
  return small.flatten({ background: '#fff' }).toColourspace('srgb').raw().toBuffer();
}
