import { randomBytes } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { undefinedIfAbsent } from '../../files/absent.js';
import { writeThenRename } from '../../files/durable-write.js';
import { isFileName } from './job-name.js';

/**
 * Writes a file through the queue's staging directory: whole and on disk before its name exists. The directory of the name
 * is to be synced by the caller. What a crash leaves in staging is removed by `tower run clean`.
 */
export async function writeStaged(staging: string, path: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(staging, `${basename(path).slice(0, 50)}.${randomBytes(6).toString('hex')}`);
  await writeThenRename(temporary, path, content);
}

/** @returns whether there was something to rename. */
export async function renameIfPresent(from: string, to: string): Promise<boolean> {
  if (!isFileName(basename(from))) return false;
  const absent = await rename(from, to).then(
    () => true,
    (error: NodeJS.ErrnoException) => undefinedIfAbsent(error),
  );
  return absent === true;
}
