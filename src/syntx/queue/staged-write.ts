import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { undefinedIfAbsent } from '../../files/absent.js';

/**
 * Writes a file through the queue's staging directory: whole and on disk before its name exists. The directory of the name
 * is to be synced by the caller. What a crash leaves in staging is removed by `tower run clean`.
 */
export async function writeStaged(staging: string, path: string, content: string): Promise<void> {
  const temporary = join(staging, `${basename(path)}.${randomBytes(6).toString('hex')}`);
  try {
    const file = await open(temporary, 'wx', 0o644);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** @returns whether there was something to rename. */
export async function renameIfPresent(from: string, to: string): Promise<boolean> {
  const absent = await rename(from, to).then(
    () => true,
    (error: NodeJS.ErrnoException) => undefinedIfAbsent(error),
  );
  return absent === true;
}
