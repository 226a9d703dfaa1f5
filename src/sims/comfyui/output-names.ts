import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { basename, dirname, join, normalize, relative } from 'node:path';

import { NodeError } from './node-class.js';
import type { PictureSize } from './picture.js';

export interface SavePlace {
  readonly directory: string;
  readonly subfolder: string;
  /** Of the n-th image of a batch, from 0. */
  readonly fileName: (index: number) => string;
}

/**
 * Where images with a prefix are saved (contract comfyui 9): `<prefix>_<counter>_.png` in the folder that the prefix names;
 * the counter follows the highest one that is there.
 *
 * @throws NodeError when the prefix leaves the folder
 */
export function savePlace(root: string, prefix: string, size: PictureSize): SavePlace {
  const path = normalize(resolvePlaceholders(prefix, size));
  const subfolder = dirname(path) === '.' ? '' : dirname(path);
  const directory = join(root, subfolder);
  if (relative(root, directory).startsWith('..') || path.startsWith('/')) {
    throw new NodeError(
      'Exception',
      `Saving image outside the output folder is not allowed. (simulated) prefix: ${prefix}`,
    );
  }
  const name = basename(path);
  const first = highestCounter(directory, name) + 1;
  return {
    directory,
    subfolder,
    fileName: (index) => `${name.replaceAll('%batch_num%', String(index))}_${counterText(first + index)}_.png`,
  };
}

/** Of PreviewImage. */
export function randomPrefix(): string {
  return `ComfyUI_temp_${randomBytes(3).toString('hex').slice(0, 5)}`;
}

function counterText(counter: number): string {
  return String(counter).padStart(5, '0');
}

function highestCounter(directory: string, name: string): number {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return 0;
  }
  const start = `${name}_`;
  let highest = 0;
  for (const found of names) {
    if (!found.startsWith(start)) continue;
    const digits = /^(\d+)_/.exec(found.slice(start.length))?.[1];
    if (digits !== undefined) highest = Math.max(highest, Number(digits));
  }
  return highest;
}

function resolvePlaceholders(prefix: string, { width, height }: PictureSize): string {
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, '0');
  const values: Readonly<Record<string, string>> = {
    '%width%': String(width),
    '%height%': String(height),
    '%year%': String(now.getFullYear()),
    '%month%': two(now.getMonth() + 1),
    '%day%': two(now.getDate()),
    '%hour%': two(now.getHours()),
    '%minute%': two(now.getMinutes()),
    '%second%': two(now.getSeconds()),
  };
  return prefix.replace(/%\w+%/g, (placeholder) => values[placeholder] ?? placeholder);
}
