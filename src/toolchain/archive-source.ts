import { createWriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';

import axios from 'axios';
import { execa } from 'execa';

import { TowerError } from '../errors.js';
import type { ServiceOptions } from '../service-options.js';
import type { ToolProgress, ToolRelease } from './tool-release.js';

const answerTimeoutMs = 10_000;
const silenceTimeoutMs = 30_000;

/**
 * Downloads an official `.tar.gz` and unpacks it.
 *
 * @param directory an empty folder of the caller's.
 * @returns the path of the unpacked executable, not yet verified.
 * @throws TowerError `TOOL_DOWNLOAD_FAILED` (retryable) for anything that goes wrong on the way.
 */
export async function fetchFromArchive(
  release: ToolRelease,
  url: string,
  directory: string,
  options: ServiceOptions<ToolProgress>,
): Promise<string> {
  const archive = join(directory, 'archive.tar.gz');
  try {
    await download(url, archive, release, options);
    await execa('tar', ['-xzf', archive, '-C', directory], { cancelSignal: options.signal });
  } catch (error) {
    options.signal.throwIfAborted();
    throw new TowerError('TOOL_DOWNLOAD_FAILED', `${url} could not be fetched and unpacked`, {
      cause: error,
      retryable: true,
    });
  }
  return join(directory, release.executable);
}

async function download(
  url: string,
  target: string,
  release: ToolRelease,
  { signal, onProgress }: ServiceOptions<ToolProgress>,
): Promise<void> {
  const stalled = new AbortController();
  const watchdog = setTimeout(() => {
    stalled.abort(new Error(`no answer within ${answerTimeoutMs / 1000} s`));
  }, answerTimeoutMs);
  const either = AbortSignal.any([signal, stalled.signal]);
  try {
    // The download site redirects to another host. No credential is sent, and the pinned checksum decides what is accepted.
    const response = await axios.get<IncomingMessage>(url, {
      responseType: 'stream',
      signal: either,
      maxRedirects: 5,
      beforeRedirect: refuseDowngrade(url),
    });
    clearTimeout(watchdog);
    const totalBytes = Number(response.headers['content-length']) || undefined;
    let receivedBytes = 0;
    response.data.setTimeout(silenceTimeoutMs, () => {
      response.data.destroy(new Error(`nothing received for ${silenceTimeoutMs / 1000} s`));
    });
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        receivedBytes += chunk.length;
        onProgress?.({
          tool: release.name,
          source: 'download',
          message: `downloading ${release.name} ${release.version}`,
          receivedBytes,
          ...(totalBytes !== undefined && { totalBytes }),
        });
        done(null, chunk);
      },
    });
    await pipeline(response.data, meter, createWriteStream(target), { signal });
  } catch (error) {
    throw stalled.signal.aborted ? stalled.signal.reason : error;
  } finally {
    clearTimeout(watchdog);
  }
}

function refuseDowngrade(url: string): (options: Record<string, unknown>) => void {
  return (options) => {
    if (url.startsWith('https:') && options['protocol'] !== 'https:') {
      throw new Error('the download was redirected from https to an unprotected address');
    }
  };
}
