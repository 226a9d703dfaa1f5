import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { TowerError } from '../../errors.js';
import { namingFullDisk } from '../../files/disk-full.js';
import { renameDurable } from '../../files/durable-write.js';
import type { ServiceOptions } from '../../service-options.js';
import { batchNameFault } from '../batch-name.js';
import type { HttpAnswer, SignzMindHttp } from './http.js';
import { DownloadIncompleteError } from './server-errors.js';

const temporaryPrefix = '.download-';
/** Longer than any download goes without a byte; another attempt may still be writing. */
const abandonedAfterMs = 3_600_000;

export interface DownloadedFile {
  readonly path: string;
  /** Of the decoded content. */
  readonly bytes: number;
  readonly sha256: string;
}

export interface DownloadProgress {
  readonly receivedBytes: number;
}

/**
 * `GET {base}/data/download_batch/{name}` (contract signz-mind 1.2) into `<directory>/<name>`: decoded, complete or not
 * there at all.
 *
 * @throws TowerError `BATCH_NAME_INVALID`, `BATCH_TOO_LARGE`, `DISK_FULL`, or of the connection (`DOWNLOAD_INCOMPLETE` is retryable)
 */
export async function downloadBatch(
  http: SignzMindHttp,
  batch: { readonly name: string; readonly directory: string; readonly maxBytes: number },
  options: Pick<ServiceOptions<DownloadProgress>, 'signal' | 'onProgress'> & { readonly timeoutMs: number },
): Promise<DownloadedFile> {
  const fault = batchNameFault(batch.name);
  if (fault !== undefined) {
    throw new TowerError('BATCH_NAME_INVALID', `The batch name ${JSON.stringify(batch.name.slice(0, 80))} is ${fault}`);
  }
  await mkdir(batch.directory, { recursive: true });
  const path = join(batch.directory, batch.name);
  const temporary = join(batch.directory, `${temporaryPrefix}${randomBytes(6).toString('hex')}.tmp`);
  try {
    const answer = await http.send({
      method: 'GET',
      path: `/data/download_batch/${encodeURIComponent(batch.name)}`,
      accept: 'application/jsonl',
      timeoutMs: options.timeoutMs,
      signal: options.signal,
    });
    const written = await namingFullDisk(path, async () => {
      const file = await open(temporary, 'wx');
      try {
        const body = await writeBody(file, answer, { ...batch, onProgress: options.onProgress });
        await file.sync();
        return body;
      } finally {
        await file.close();
      }
    });
    await renameDurable(temporary, path);
    return { path, ...written };
  } finally {
    await rm(temporary, { force: true });
  }
}

/** Removes what killed downloads left: temporary files that nothing was written to for an hour. */
export async function removeAbandonedDownloads(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const name of await readdir(directory)) {
    if (!name.startsWith(temporaryPrefix)) continue;
    const path = join(directory, name);
    // It may have just been finished by another attempt.
    const written = (await stat(path).catch(() => undefined))?.mtimeMs ?? Date.now();
    if (Date.now() - written > abandonedAfterMs) await rm(path, { force: true });
  }
}

async function writeBody(
  file: FileHandle,
  answer: HttpAnswer,
  {
    name,
    maxBytes,
    onProgress,
  }: { name: string; maxBytes: number; onProgress: ServiceOptions<DownloadProgress>['onProgress'] },
): Promise<Omit<DownloadedFile, 'path'>> {
  const hash = createHash('sha256');
  let bytes = 0;
  let tail = '';
  for await (const part of answer.body) {
    bytes += part.length;
    if (bytes > maxBytes) throw tooLarge(name, maxBytes);
    hash.update(part);
    await file.write(part);
    if (!answer.delimited) tail = (tail + part.toString('latin1')).slice(-4096);
    onProgress?.({ receivedBytes: bytes });
  }
  if (!answer.delimited && !endsLikeJson(tail)) {
    throw new DownloadIncompleteError(name, 'the body has no length and ends inside a line: it may have been cut');
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** Without a length a cut looks like an end; a whole batch ends with a whole object. */
function endsLikeJson(tail: string): boolean {
  return tail.trimEnd().endsWith('}');
}

function tooLarge(name: string, maxBytes: number): TowerError {
  return new TowerError('BATCH_TOO_LARGE', `The batch ${name} is larger than ${maxBytes} bytes`, {
    next: 'Raise `server.downloadLimitMegabytes` if the batch is meant to be so large.',
  });
}
