import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/**
 * A path as a person wrote it, made absolute. `~/` is their home folder: shells leave it as it is within quotes and after `=`.
 *
 * @param from - Where relative paths begin; default: the working directory.
 */
export function userPath(path: string, from = '.'): string {
  return path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : resolve(from, path);
}
