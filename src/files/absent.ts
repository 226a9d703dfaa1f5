import { readdir } from 'node:fs/promises';

/** For `.catch` of a look at a path: `undefined` when nothing is there; every other fault is thrown on. */
export function undefinedIfAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
  throw error;
}

/** Names in a directory, in no order; a directory that is not there has none. */
export async function namesIn(directory: string): Promise<string[]> {
  return (await readdir(directory).catch(undefinedIfAbsent)) ?? [];
}
