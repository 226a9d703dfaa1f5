import { readFile } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import type { z } from 'zod';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import type { Log } from '../../log/logger.js';

/**
 * The files of a log that upstream rotates (contract syntx 4.4), oldest first: months in `archive/`, days, and the one that is
 * written now.
 */
export async function rotatedFiles(directory: string, file: string): Promise<string[]> {
  const { name, ext } = parse(file);
  const escaped = [name, ext].map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  const months = new RegExp(`^${escaped[0]}\\.\\d{6}${escaped[1]}\\.gz$`);
  const days = new RegExp(`^${escaped[0]}\\.\\d{8}${escaped[1]}$`);
  const archive = join(directory, 'archive');
  const found = async (folder: string, pattern: RegExp) =>
    (await namesIn(folder))
      .filter((entry) => pattern.test(entry))
      .sort()
      .map((entry) => join(folder, entry));
  return [...(await found(archive, months)), ...(await found(directory, days)), join(directory, file)];
}

/**
 * The lines of a file that fit the schema, each once. A line that does not, and a file that cannot be unpacked, is logged and left
 * out: a torn line must not stop the next generation. A file that is not there has none.
 */
export async function readLines<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  log: Log,
): Promise<z.output<Schema>[]> {
  const content = await readFile(path).catch(undefinedIfAbsent);
  if (content === undefined) return [];
  let text: string;
  try {
    text = (path.endsWith('.gz') ? await promisify(gunzip)(content) : content).toString('utf8');
  } catch (error) {
    log.warn({ file: path, err: error }, 'a rotated log cannot be unpacked, it is left out');
    return [];
  }
  const lines = new Set(text.split('\n').filter((line) => line.trim() !== ''));
  return [...lines].flatMap((line) => {
    const parsed = schema.safeParse(parseJson(line));
    if (!parsed.success) log.warn({ file: path, line: line.slice(0, 80) }, 'a line of a log is left out');
    return parsed.success ? [parsed.data] : [];
  });
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
