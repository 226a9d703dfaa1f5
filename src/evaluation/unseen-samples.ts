import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

import { sha256Of } from '../files/sha256.js';
import { LineSplitter } from '../files/split-lines.js';

export interface UnseenSamples {
  /** JSON lines, each with its line end. */
  readonly content: Buffer;
  /** Of the content, lower-case hex. */
  readonly sha256: string;
  readonly samples: number;
  /** Samples left out because `seenPath` has them. */
  readonly seen: number;
}

const lineEnd = Buffer.from('\n');

/**
 * The samples of a held-out file that do not stand in another dataset file. The split keeps a file on its side from day to
 * day, but not where the configured share was changed, or where few files make it take the nearest one; what the champion
 * was trained with would speak for it.
 */
export async function unseenSamples(heldOutPath: string, seenPath: string | undefined): Promise<UnseenSamples> {
  const seenLines = new Set<string>();
  if (seenPath !== undefined) for await (const line of linesOf(seenPath)) seenLines.add(sha256Of(line));
  const kept: Buffer[] = [];
  const hash = createHash('sha256');
  let samples = 0;
  let seen = 0;
  for await (const line of linesOf(heldOutPath)) {
    if (seenLines.has(sha256Of(line))) {
      seen += 1;
      continue;
    }
    samples += 1;
    kept.push(line, lineEnd);
    hash.update(line).update(lineEnd);
  }
  return { content: Buffer.concat(kept), sha256: hash.digest('hex'), samples, seen };
}

/** None when there is no such file: old datasets may have been cleaned up. */
async function* linesOf(path: string): AsyncGenerator<Buffer> {
  const splitter = new LineSplitter(Number.POSITIVE_INFINITY);
  try {
    for await (const chunk of createReadStream(path)) {
      for (const { bytes } of splitter.push(chunk as Buffer)) if (bytes !== undefined && bytes.length > 0) yield bytes;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  for (const { bytes } of splitter.end()) if (bytes !== undefined) yield bytes;
}
