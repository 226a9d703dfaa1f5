import { mkdir, open, rename, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

const rotateAboveBytes = 20 * 1024 * 1024;

/** Opens the server's log for appending; one that has grown large becomes `<path>.1` first. */
export async function openServerLog(path: string): Promise<FileHandle> {
  await mkdir(dirname(path), { recursive: true });
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size > rotateAboveBytes) await rename(path, `${path}.1`);
  return open(path, 'a', 0o644);
}

/** The end of the log, at most `bytes` long and from `start` on, for error messages. */
export async function readLogTail(path: string, start: number, bytes = 2_000): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const from = Math.max(start, size - bytes);
    const buffer = Buffer.alloc(Math.max(0, size - from));
    await file.read(buffer, 0, buffer.length, from);
    return buffer.toString('utf8').trim();
  } finally {
    await file.close();
  }
}
