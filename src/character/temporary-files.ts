import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { undefinedIfAbsent } from '../files/absent.js';

/** What `writeFileDurable` and the renderer call a file until it is whole. */
const temporaryName = /^\..+\.[0-9a-f]{12}\.tmp$/;

/** Removes temporary files of a folder that a kill has left, those of at least this age. */
export async function removeTemporaryFiles(
  folder: string,
  { olderThanMs }: { readonly olderThanMs: number },
): Promise<void> {
  const names = (await readdir(folder).catch(undefinedIfAbsent)) ?? [];
  for (const path of names.filter((name) => temporaryName.test(name)).map((name) => join(folder, name))) {
    const found = await stat(path).catch(undefinedIfAbsent);
    if (found !== undefined && Date.now() - found.mtimeMs >= olderThanMs) await rm(path, { force: true });
  }
}
