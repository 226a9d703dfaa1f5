import { open, stat, type FileHandle } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

import { undefinedIfAbsent } from '../../files/absent.js';

/** Where reading of a file goes on; the inode tells a rotated file from the one that was read. */
export interface FilePosition {
  readonly inode: number;
  readonly offset: number;
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  /** How often the file is looked at, in milliseconds. */
  readonly periodMs?: number;
}

const blockBytes = 64 * 1024;
const newline = 0x0a;

/**
 * The last `count` lines that are wanted, in their order, read backwards from the end. A last line without its newline is
 * left for {@link followLines}.
 *
 * @returns `undefined` when there is no such file.
 */
export async function readLastLines(
  file: string,
  count: number,
  wanted: (line: string) => boolean,
): Promise<{ readonly lines: string[]; readonly position: FilePosition } | undefined> {
  const handle = await openIfExists(file);
  if (handle === undefined) return undefined;
  try {
    const { ino, size } = await handle.stat();
    const end = await endOfLastLine(handle, size);
    const lines: string[] = [];
    let carried = Buffer.alloc(0);
    for (let offset = end; offset > 0 && lines.length < count;) {
      const length = Math.min(blockBytes, offset);
      offset -= length;
      const block = Buffer.concat([await readBlock(handle, offset, length), carried]);
      // The first line of a block may begin in the block before it.
      const start = offset === 0 ? 0 : block.indexOf(newline) + 1;
      carried = block.subarray(0, start);
      lines.unshift(...splitLines(block.subarray(start)).filter(wanted));
    }
    return { lines: lines.slice(Math.max(0, lines.length - count)), position: { inode: ino, offset: end } };
  } finally {
    await handle.close();
  }
}

/**
 * Reports every further line until the signal aborts. A file that does not exist yet is waited for; a renamed one is read
 * on until a new one has its name, for its writers may still hold it; a truncated one is read from its start.
 */
export async function followLines(
  file: string,
  from: FilePosition | undefined,
  { signal, onLine, periodMs = 250 }: FollowOptions,
): Promise<void> {
  let reader: LineReader | undefined;
  try {
    while (!signal.aborted) {
      const inode = await inodeOf(file);
      const replaced = inode !== undefined && inode !== reader?.inode;
      await reader?.drain(onLine);
      if (replaced) {
        await reader?.close();
        reader = await LineReader.open(file, from);
        await reader?.drain(onLine);
      }
      await sleep(periodMs, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    await reader?.close();
  }
}

/** Reads one file, whatever its name becomes, line by line. */
class LineReader {
  readonly inode: number;
  readonly #handle: FileHandle;
  #offset: number;
  #partial = Buffer.alloc(0);

  private constructor(handle: FileHandle, { inode, offset }: FilePosition) {
    this.#handle = handle;
    this.inode = inode;
    this.#offset = offset;
  }

  static async open(file: string, from: FilePosition | undefined): Promise<LineReader | undefined> {
    const handle = await openIfExists(file);
    if (handle === undefined) return undefined;
    const inode = (await handle.stat()).ino;
    return new LineReader(handle, { inode, offset: inode === from?.inode ? from.offset : 0 });
  }

  async drain(onLine: (line: string) => void): Promise<void> {
    if ((await this.#handle.stat()).size < this.#offset) {
      this.#offset = 0;
      this.#partial = Buffer.alloc(0);
    }
    for (;;) {
      const block = await readBlock(this.#handle, this.#offset, blockBytes);
      if (block.length === 0) return;
      this.#offset += block.length;
      const text = Buffer.concat([this.#partial, block]);
      const end = text.lastIndexOf(newline) + 1;
      this.#partial = text.subarray(end);
      splitLines(text.subarray(0, end)).forEach(onLine);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

async function openIfExists(file: string): Promise<FileHandle | undefined> {
  return open(file, 'r').catch(undefinedIfAbsent);
}

async function inodeOf(file: string): Promise<number | undefined> {
  return (await stat(file).catch(undefinedIfAbsent))?.ino;
}

async function endOfLastLine(handle: FileHandle, size: number): Promise<number> {
  for (let end = size; end > 0;) {
    const length = Math.min(blockBytes, end);
    const block = await readBlock(handle, end - length, length);
    const last = block.lastIndexOf(newline);
    if (last !== -1) return end - length + last + 1;
    end -= length;
  }
  return 0;
}

async function readBlock(handle: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

function splitLines(block: Buffer): string[] {
  return block
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}
