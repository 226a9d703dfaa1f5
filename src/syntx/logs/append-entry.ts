import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

import { TowerError } from '../../errors.js';
import { namingFullDisk } from '../../files/disk-full.js';

/** How much of a log's end is searched for an entry that may be there already. */
const searchedBytes = 512 * 1024;

export interface EntryOptions {
  /** The entry is left out when the end of the log has this text. */
  readonly unless?: string;
  /** Only what comes after the last line with this text counts as being there. */
  readonly since?: string;
  /** Only a log that was written to since then, in milliseconds since 1970, can have the entry. */
  readonly writtenSince?: number;
}

/**
 * Appends an entry of whole lines with one write, so that several processes can share the file. After a torn line it begins a
 * new one. An activity that is repeated does not log twice.
 *
 * @returns whether it was appended; `false` when it was there already.
 * @throws TowerError `DISK_FULL` (retryable), `LOG_FORBIDDEN`
 */
export async function appendEntry(path: string, entry: string, options: EntryOptions = {}): Promise<boolean> {
  // One after the other, or two attempts of one activity could both find that the entry is missing.
  const turn = (turns.get(path) ?? Promise.resolve()).then(() => appendOnce(path, entry, options));
  const settled = turn.catch(() => undefined);
  turns.set(path, settled);
  return turn.finally(() => {
    if (turns.get(path) === settled) turns.delete(path);
  });
}

const turns = new Map<string, Promise<unknown>>();

async function appendOnce(path: string, entry: string, options: EntryOptions): Promise<boolean> {
  return namingForbidden(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(path, 'a+');
    try {
      const { size, mtimeMs } = await file.stat();
      const length = Math.min(size, searchedBytes);
      const { buffer } = await file.read({ buffer: Buffer.alloc(length), position: size - length });
      const end = buffer.toString('utf8');
      const isRecent = mtimeMs >= (options.writtenSince ?? 0);
      if (options.unless !== undefined && isRecent && afterLast(end, options.since).includes(options.unless))
        return false;
      await file.appendFile(`${end === '' || end.endsWith('\n') ? '' : '\n'}${entry}\n`);
      return true;
    } finally {
      await file.close();
    }
  });
}

/** What no retry mends is said once, and not tried for a day. */
async function namingForbidden<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await namingFullDisk(path, work);
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (!['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ELOOP'].includes(String(code))) throw error;
    throw new TowerError('LOG_FORBIDDEN', `the log ${path} cannot be written (${String(code)})`, {
      ...{ cause: error, details: { path } },
      next: 'Give the user that runs Tower the right to write there, or set `syntx.logDirectory` and `syntx.dataLogDirectory`.',
    });
  }
}

function afterLast(text: string, marker: string | undefined): string {
  const at = marker === undefined ? -1 : text.lastIndexOf(marker);
  return at < 0 ? text : text.slice(at);
}
