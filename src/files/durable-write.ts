import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join, basename } from 'node:path';

import { namingFullDisk } from './disk-full.js';

/**
 * Writes a file so that a reader, also after a power cut, sees the old content or the new one, never a mixture:
 * temporary name in the same directory, fsync, rename, fsync of the directory. Missing directories are made.
 *
 * @throws TowerError `DISK_FULL`, or the underlying `NodeJS.ErrnoException`; the temporary file is removed first.
 */
export async function writeFileDurable(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const directory = dirname(path);
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`);
  // The names of folder and file take space too.
  await namingFullDisk(path, async () => {
    await mkdir(directory, { recursive: true });
    await writeThenRename(temporary, path, content, mode);
  });
  await syncDirectory(directory);
}

/**
 * Writes under a temporary name, whole and on disk, before the name exists. To sync the directory is left to the caller; a
 * failure leaves no temporary file.
 *
 * @throws the underlying `NodeJS.ErrnoException`
 */
export async function writeThenRename(
  temporary: string,
  path: string,
  content: string | Uint8Array,
  mode = 0o644,
): Promise<void> {
  try {
    const file = await open(temporary, 'wx', mode);
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

/** {@link writeFileDurable} for one JSON document, indented, with a final newline. */
export async function writeJsonDurable(path: string, value: unknown, mode = 0o644): Promise<void> {
  await writeFileDurable(path, `${JSON.stringify(value, null, 2)}\n`, mode);
}

/** Renames and makes the new name durable. Both paths must be on one file system. */
export async function renameDurable(from: string, to: string): Promise<void> {
  await rename(from, to);
  await syncDirectory(dirname(to));
}

/** fsync of a directory, so that a rename inside it survives a power cut. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
