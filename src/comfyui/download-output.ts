import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';

import { TowerError } from '../errors.js';
import { namingFullDisk } from '../files/disk-full.js';
import { ComfyuiTimeoutError } from './comfyui-errors.js';
import { nameOf, wholeAnswerFactor, type ComfyuiHttp, type HttpRequest } from './http.js';

export interface DownloadedOutput {
  readonly bytes: number;
  readonly sha256: string;
}

/** Far above any picture: 16,384 × 16,384 pixels without compression have 768 MiB, and their PNGs a part of it. */
const outputLimitBytes = 512 * 1024 ** 2;

/**
 * Streams one output file of ComfyUI to disk, fsync included. An incomplete file does not stay.
 *
 * @throws TowerError `COMFYUI_DOWNLOAD_CUT`, `COMFYUI_TIMEOUT` (both retryable), `COMFYUI_OUTPUT_TOO_LARGE`, `DISK_FULL`, or of the
 * connection.
 */
export async function downloadOutput(
  http: ComfyuiHttp,
  request: HttpRequest,
  target: string,
): Promise<DownloadedOutput> {
  const { length, body } = await http.stream(request);
  const { timeoutMs } = request;
  const giveUp = (what: 'silence' | 'whole answer') =>
    body.destroy(new ComfyuiTimeoutError(nameOf(request), timeoutMs, what));
  const watch = setTimeout(giveUp, timeoutMs, 'silence');
  const limit = setTimeout(giveUp, timeoutMs * wholeAnswerFactor, 'whole answer');
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    return await namingFullDisk(target, async () => {
      const file = await open(target, 'w');
      try {
        for await (const part of body as AsyncIterable<Buffer>) {
          watch.refresh();
          hash.update(part);
          bytes += part.length;
          if (Math.max(bytes, length ?? 0) > outputLimitBytes) throw tooLarge(request);
          await file.writeFile(part);
        }
        if (length !== undefined && length !== bytes) throw cut(request, `${bytes} of ${length} bytes came`);
        await file.sync();
      } finally {
        await file.close();
      }
      return { bytes, sha256: hash.digest('hex') };
    });
  } catch (error) {
    await rm(target, { force: true });
    request.signal?.throwIfAborted();
    if (error instanceof TowerError || !isStreamError(error)) throw error;
    throw cut(request, `the connection broke after ${bytes} bytes`, error);
  } finally {
    clearTimeout(watch);
    clearTimeout(limit);
    body.destroy();
  }
}

/** Errors of the file system carry the system call; those of the HTTP stream have another kind of code, or none. */
function isStreamError(error: unknown): boolean {
  const { syscall } = error as NodeJS.ErrnoException;
  return syscall === undefined || syscall === 'read';
}

function tooLarge(request: HttpRequest): TowerError {
  const limit = `${outputLimitBytes / 1024 ** 2} MiB`;
  return new TowerError('COMFYUI_OUTPUT_TOO_LARGE', `${nameOf(request)}: the file is larger than ${limit}`, {
    next: 'No picture is that large: look at what the graph saves.',
  });
}

function cut(request: HttpRequest, reason: string, cause?: unknown): TowerError {
  return new TowerError('COMFYUI_DOWNLOAD_CUT', `${nameOf(request)}: the file is incomplete: ${reason}`, {
    retryable: true,
    retryAfterMs: 1_000,
    cause,
  });
}
