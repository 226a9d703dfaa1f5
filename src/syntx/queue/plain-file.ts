import { lstat, readFile } from 'node:fs/promises';

import { undefinedIfAbsent } from '../../files/absent.js';

const mostBytes = 16 * 2 ** 20;

/**
 * Why a file of the queue is not read at all: a pipe would never end, a link may lead anywhere, a huge file fills the memory.
 *
 * @param isWhat the sentence's beginning, such as `the prompt is`.
 * @returns `undefined` for a plain file, and for one that is not there.
 */
export async function plainFileFault(path: string, isWhat: string): Promise<string | undefined> {
  const found = await lstat(path).catch(undefinedIfAbsent);
  if (found === undefined) return undefined;
  if (!found.isFile()) return `${isWhat} no plain file`;
  return found.size > mostBytes ? `${isWhat} larger than ${mostBytes / 2 ** 20} MiB` : undefined;
}

/** Text of a plain file; `undefined` when there is none of it. */
export async function readPlainText(path: string): Promise<string | undefined> {
  if ((await plainFileFault(path, '')) !== undefined) return undefined;
  return readFile(path, 'utf8').catch(undefinedIfAbsent);
}
