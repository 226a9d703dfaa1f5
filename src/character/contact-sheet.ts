import { join } from 'node:path';

import sharp, { type OverlayOptions } from 'sharp';

import { namesIn } from '../files/absent.js';
import { writeFileDurable } from '../files/durable-write.js';
import type { CharacterRun } from './character-run.js';
import { rm } from 'node:fs/promises';
import { digitsPath } from './digits.js';
import { indexInName } from './dataset-images.js';

const columns = 8;
const rows = 10;
const cell = 208;
const labelHeight = 22;
const gap = 6;
const pageSize = columns * rows;

/**
 * Writes small pictures of a data set's images with their numbers, 80 a page: `contact-sheet.jpg`, `contact-sheet-002.jpg`, …
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
  const tiles: OverlayOptions[] = [];
  // One after the other: decoding many large images at once would need their memory at once.
  for (const [position, path] of paths.entries()) {
    const left = gap + (position % columns) * (cell + gap);
    const top = gap + Math.floor(position / columns) * (cell + labelHeight + gap);
    const number = indexInName(path);
    tiles.push({ input: await thumbnail(path, cell), left, top });
    if (number !== null) tiles.push({ input: label(number), left, top: top + cell });
  }
  const sheet = sharp({ create: { width, height, channels: 3, background: '#1d2126' } });
  return sheet.composite(tiles).jpeg({ quality: 82 }).toBuffer();
}

/** The whole image, on black where it is no square. */
async function thumbnail(path: string, size: number): Promise<Buffer> {
  const small = sharp(path).resize(size, size, { fit: 'contain', background: '#000' });
  return small.removeAlpha().png({ compressionLevel: 1 }).toBuffer();
}

/** Drawn, not written: machines without fonts have contact sheets too. */
function label(number: number): Buffer {
  const path = digitsPath(number, { left: 2, top: 4, unit: 2.6 });
  const frame = `width="${cell}" height="${labelHeight}"`;
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" ${frame}><path d="${path}" fill="#fff"/></svg>`);
}
