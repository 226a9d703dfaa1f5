import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { PassThrough } from 'node:stream';
import { promisify } from 'node:util';

import FormData from 'form-data';

import type { ServiceOptions } from '../../service-options.js';
import { quoted, readText } from './answer-body.js';
import type { SignzMindHttp } from './http.js';

/** The parts of `POST {base}/model/upload` (contract signz-mind 1.4). */
export interface ModelUpload {
  readonly version: string;
  /** UTC date, `YYYY-MM-DD`. */
  readonly trainingDate: string;
  readonly notes: string;
  /** Path of the package, a zip. */
  readonly file: string;
}

export interface UploadProgress {
  readonly sentBytes: number;
  readonly totalBytes: number;
}

/** How the server took the upload: with a JSON answer, or with a success status and something else. */
export type UploadAnswer = { readonly understood: true } | { readonly understood: false; readonly found: string };

/**
 * Sends the multipart body with exactly the contract's parts in its order, streamed from disk with a known length.
 *
 * @throws TowerError of the connection or the server's status
 */
export async function sendModel(
  http: SignzMindHttp,
  upload: ModelUpload,
  options: Pick<ServiceOptions<UploadProgress>, 'signal' | 'onProgress'> & { readonly timeoutMs: number },
): Promise<UploadAnswer> {
  const { size } = await stat(upload.file);
  const source = createReadStream(upload.file, { highWaterMark: 256 * 1024 });
  const form = new FormData();
  form.append('model_version', upload.version);
  form.append('training_date', upload.trainingDate);
  form.append('notes', upload.notes);
  form.append('model_file', source, {
    filename: `${upload.version}_tower_upload.zip`,
    contentType: 'application/zip',
    knownLength: size,
  });
  const length = await promisify(form.getLength.bind(form))();

  const body = new PassThrough();
  form.on('error', (error: Error) => body.destroy(error));
  form.pipe(body);
  const name = 'POST /model/upload';
  let sentBytes = 0;
  try {
    const answer = await http.send({
      method: 'POST',
      path: '/model/upload',
      headers: { ...form.getHeaders(), 'content-length': String(length) },
      body,
      onSent: (bytes) => {
        sentBytes += bytes;
        options.onProgress?.({ sentBytes, totalBytes: length });
      },
      timeoutMs: options.timeoutMs,
      signal: options.signal,
    });
    return understand(answer.contentType, await readText(name, answer.body, 1024 * 1024));
  } catch (error) {
    // A package that cannot be read is no fault of the connection.
    throw source.errored ?? error;
  } finally {
    source.destroy();
    body.destroy();
  }
}

function understand(contentType: string, text: string): UploadAnswer {
  try {
    JSON.parse(text);
    return { understood: true };
  } catch {
    return { understood: false, found: `${contentType || 'no content type'}, ${quoted(text)}` };
  }
}
