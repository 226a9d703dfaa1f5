import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import sharp from 'sharp';
import { parse } from 'smol-toml';

import { datasetOptions, subsetOptions } from '../../kohya/options-data.js';
import { isTable, numberOf, textOf, type Arguments } from './command-line.js';
import { log, print, PythonError } from './console.js';

/** What the training needs to know about the images. */
export interface Images {
  /** Times their repeats, without the held-out ones. */
  readonly training: number;
  readonly heldOut: number;
  /** Per epoch. */
  readonly batches: number;
  /** Over names and contents. */
  readonly sha256: string;
}

const datasetKeys = [...Object.keys(datasetOptions), 'batch_size', 'subsets', 'validation_split', 'validation_seed'];
const subsetKeys = [...Object.keys(subsetOptions), 'image_dir', 'is_reg', 'custom_attributes'];

/** Reads dataset.toml, which is checked strictly, and the images and captions that it names. */
export async function readImages(args: Arguments): Promise<Images> {
  const path = textOf(args, 'dataset_config') ?? '';
  log(`Loading dataset config from ${path}`);
  const config = parse(readFileSync(path, 'utf8'));
  const general = isTable(config['general']) ? config['general'] : {};
  refuseUnknown(general, [...datasetKeys, ...subsetKeys]);
  const hash = createHash('sha256');
  const total = { training: 0, heldOut: 0, batches: 0 };
  for (const dataset of tables(config['datasets'])) {
    refuseUnknown(dataset, [...datasetKeys, ...subsetKeys]);
    for (const subset of tables(dataset['subsets'])) {
      refuseUnknown(subset, subsetKeys);
      const settings = { ...args, ...general, ...dataset, ...subset };
      const found = await readSubset(settings, hash);
      if (subset['is_reg'] === true) continue;
      total.training += found.training;
      total.heldOut += found.heldOut;
      total.batches += found.batches;
    }
  }
  log(`${total.training} train images with repeats.`);
  if (total.heldOut > 0) log(`${total.heldOut} validation images with repeats.`);
  return { ...total, sha256: hash.digest('hex') };
}

async function readSubset(
  settings: Arguments,
  hash: ReturnType<typeof createHash>,
): Promise<{ training: number; heldOut: number; batches: number }> {
  const folder = textOf(settings, 'image_dir') ?? '';
  const repeats = numberOf(settings, 'num_repeats', 1);
  const share = numberOf(settings, 'validation_split', 0);
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  const images = names.filter((name) => /\.(png|jpe?g|webp|bmp|PNG|JPE?G|WEBP|BMP)$/.test(name));
  log(`found directory ${folder} contains ${images.length} image files`);
  const trained = Math.ceil(images.length * (1 - share));
  const heldOut = settings['is_reg'] === true ? 0 : Math.round(images.length * share);
  const sizes = new Map<string, number>();
  for (const [index, name] of images.entries()) {
    const path = join(folder, name);
    const caption = captionOf(path, textOf(settings, 'caption_extension') ?? '.caption');
    hash.update(`${name}\n${caption}\n`).update(readFileSync(path));
    const size = settings['enable_bucket'] === true ? await sizeOf(path) : await sizeOf(path).then(() => 'all');
    if (index < trained) sizes.set(size, (sizes.get(size) ?? 0) + repeats);
  }
  const batchSize = numberOf(settings, 'batch_size', 1);
  const batches = [...sizes.values()].reduce((sum, count) => sum + Math.ceil(count / batchSize), 0);
  return { training: trained * repeats, heldOut, batches };
}

function captionOf(image: string, extension: string): string {
  const path = image.replace(/\.[^.]+$/, extension);
  if (!existsSync(path)) {
    print(`No caption file found for ${image}`);
    return '';
  }
  const text = readFileSync(path, 'utf8');
  if (text === '')
    throw new PythonError('AssertionError', `caption file is empty / キャプションファイルが空です: ${path}`);
  return text.split('\n', 1)[0] ?? '';
}

/** An image that does not decode has no size; the choice of its bucket then divides by zero, and names no file. */
async function sizeOf(path: string): Promise<string> {
  try {
    const { width, height } = await sharp(path).metadata();
    return `${width}x${height}`;
  } catch {
    throw new PythonError('ZeroDivisionError', 'division by zero');
  }
}

function refuseUnknown(table: Readonly<Record<string, unknown>>, known: readonly string[]): void {
  const key = Object.keys(table).find((name) => !known.includes(name));
  if (key === undefined) return;
  throw new PythonError('voluptuous.error.MultipleInvalid', `extra keys not allowed @ data['${key}']`);
}

function tables(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isTable) : [];
}
