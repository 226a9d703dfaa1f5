import { randomFillSync } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';

const chunkBytes = 1024 * 1024;

/** Writes bytes that nothing on the way can compress. */
export async function writePackage(path: string, bytes: number): Promise<void> {
  await pipeline(chunksOf(bytes), createWriteStream(path));
}

function* chunksOf(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= chunkBytes) yield randomFillSync(Buffer.alloc(Math.min(chunkBytes, left)));
}
