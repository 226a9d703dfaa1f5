import { open, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';

import sharp from 'sharp';
import { z } from 'zod';

import { TowerError } from '../errors.js';
import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import { sha256Of } from '../files/sha256.js';
import { isBitmap, isFoundByTrainer, isImageFile } from './image-files.js';
import type { KohyaOptions } from './options.js';

/** A picture is held in memory while it is decoded: this many take 400 MB. */
const largestPixels = 2 ** 27;
/** How many faults a message names. */
const namedFaults = 5;

const datasetCheckSchema = z.object({
  /** Over names, sizes and times of all files. */
  fingerprint: z.string(),
  images: z.int().positive(),
  /** How many images have which size in pixels. */
  sizes: z.array(z.object({ width: z.int().positive(), height: z.int().positive(), images: z.int().positive() })),
});

/** What a folder of images and captions holds. */
export type DatasetCheck = z.output<typeof datasetCheckSchema>;

export interface DatasetFolder {
  readonly folder: string;
  readonly options: Pick<KohyaOptions, 'caption_extension' | 'enable_wildcard'>;
  /** Whether bitmaps are taken: in pictures for regularisation, which nobody else looks at. Default: no. */
  readonly bitmaps?: boolean;
  /** Where the outcome is kept: files that have not changed since are not decoded again. */
  readonly record: string;
}

/**
 * Proves before a GPU second is spent what sd-scripts would stumble over without naming a file: there are images, each decodes
 * whole and has a caption that is not empty.
 *
 * @throws TowerError `KOHYA_DATASET_INVALID` naming the files.
 */
export async function checkDataset({ folder, options, record, bitmaps = false }: DatasetFolder): Promise<DatasetCheck> {
  const names = (await namesIn(folder)).filter((name) => !name.startsWith('.')).sort();
  const images = names.filter(isFoundByTrainer);
  if (images.length === 0) throw invalidDataset(folder, [`${folder} holds no image`]);
  const hidden = names.filter((name) => !images.includes(name) && isImageFile(name));
  const faults = hidden.map((name) => `${name}: sd-scripts only finds extensions in lower or in upper case`);

  const captions = images.map((name) => name.slice(0, -extname(name).length) + options.caption_extension);
  const fingerprint = await fingerprintOf(folder, [...images, ...captions], options);
  const earlier = await readJsonIfExists(record, datasetCheckSchema);
  if (faults.length === 0 && earlier?.fingerprint === fingerprint) return earlier;

  const sizes = new Map<string, { width: number; height: number; images: number }>();
  for (const [index, name] of images.entries()) {
    const captionFault = await faultOfCaption(join(folder, captions[index] ?? ''), options.enable_wildcard === true);
    if (captionFault !== undefined) faults.push(`${captions[index] ?? ''}: ${captionFault}`);
    const size = await sizeOfImage(join(folder, name), bitmaps);
    if (typeof size === 'string') faults.push(`${name}: ${size}`);
    else {
      const key = `${size.width}x${size.height}`;
      sizes.set(key, { ...size, images: (sizes.get(key)?.images ?? 0) + 1 });
    }
  }
  if (faults.length > 0) throw invalidDataset(folder, faults);
  const check = { fingerprint, images: images.length, sizes: [...sizes.values()] };
  await writeJsonDurable(record, check);
  return check;
}

async function fingerprintOf(folder: string, names: readonly string[], options: unknown): Promise<string> {
  const lines = [JSON.stringify(options)];
  for (const name of names) {
    const found = await stat(join(folder, name)).catch(undefinedIfAbsent);
    lines.push(`${name} ${found === undefined ? 'absent' : `${found.size} ${found.mtimeMs} ${found.ino}`}`);
  }
  return sha256Of(lines.join('\n'));
}

/** sd-scripts reads the first line, all lines with wildcards; an empty file ends it, an empty line it takes. */
async function faultOfCaption(path: string, wholeFile: boolean): Promise<string | undefined> {
  const bytes = await readFile(path).catch(undefinedIfAbsent);
  if (bytes === undefined) return 'there is no caption';
  let caption: string;
  try {
    caption = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return 'the caption is not UTF-8';
  }
  const read = wholeFile ? caption : (caption.split(/\r\n|\r|\n/, 1)[0] ?? '');
  return read.trim() === '' ? 'the caption is empty' : undefined;
}

/** Width and height, or what is wrong with the image. */
async function sizeOfImage(path: string, bitmaps: boolean): Promise<{ width: number; height: number } | string> {
  if (isBitmap(path) && !bitmaps) return 'bitmaps (BMP) are not taken, convert it to PNG';
  try {
    if (isBitmap(path)) return await sizeOfBitmap(path);
    const { info } = await sharp(path, { failOn: 'warning', limitInputPixels: largestPixels })
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height };
  } catch (error) {
    return `the image does not decode (${(error as Error).message.split('\n')[0] ?? ''})`;
  }
}

/** libvips reads no BMP; its header tells type, length of the file and size. */
async function sizeOfBitmap(path: string): Promise<{ width: number; height: number } | string> {
  const file = await open(path, 'r');
  try {
    const header = Buffer.alloc(26);
    const { bytesRead } = await file.read(header, 0, header.length, 0);
    const { size } = await file.stat();
    const whole =
      bytesRead === header.length && header.toString('latin1', 0, 2) === 'BM' && header.readUInt32LE(2) <= size;
    const [width, height] = [header.readInt32LE(18), Math.abs(header.readInt32LE(22))];
    return whole && width > 0 && height > 0 ? { width, height } : 'the image does not decode (no complete bitmap)';
  } finally {
    await file.close();
  }
}

function invalidDataset(folder: string, faults: readonly string[]): TowerError {
  const more = faults.length > namedFaults ? `; and ${faults.length - namedFaults} more` : '';
  return new TowerError(
    'KOHYA_DATASET_INVALID',
    `The data set in ${folder} cannot be trained on: ${faults.slice(0, namedFaults).join('; ')}${more}`,
    {
      next: 'Correct or remove these files, then start the run again.',
      details: { folder, faults: faults.slice(0, 50) },
    },
  );
}
