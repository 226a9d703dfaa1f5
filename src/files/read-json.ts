import { readFile } from 'node:fs/promises';

import type { z } from 'zod';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from './absent.js';

/**
 * Reads and checks one JSON file.
 *
 * @returns the parsed value, or `undefined` when the file does not exist.
 * @throws TowerError `FILE_INVALID` (not retryable) when the content is not JSON or does not fit the schema.
 */
export async function readJsonIfExists<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  const text = await readFile(path, 'utf8').catch(undefinedIfAbsent);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new TowerError('FILE_INVALID', `${path} is not what Tower writes there`, {
      cause: error,
      next: `Look at ${path}; move it away if it is damaged.`,
    });
  }
}
