import { createWriteStream } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';

import busboy from 'busboy';

import { missingField } from './answers.js';

export interface ReceivedForm {
  readonly fields: Readonly<Record<string, string>>;
  /** Path of the received file. */
  readonly file: string;
  readonly fileName: string;
}

/**
 * Receives a multipart form with one file part into `target`, as a stream.
 *
 * @throws Refusal 422 when the file part or a required field is missing
 */
export async function receiveForm(
  request: IncomingMessage,
  { filePart, target, required = [] }: { filePart: string; target: string; required?: readonly string[] },
): Promise<ReceivedForm> {
  if (!/^multipart\/form-data/i.test(request.headers['content-type'] ?? '')) {
    await drained(request);
    throw missingField('body', filePart);
  }
  const fields: Record<string, string> = {};
  let fileName: string | undefined;
  let written: Promise<void> = Promise.resolve();
  const parser = busboy({ headers: request.headers, defParamCharset: 'utf8' });
  parser.on('field', (name, value) => {
    fields[name] = value;
  });
  parser.on('file', (name, stream, info) => {
    if (name !== filePart || fileName !== undefined) {
      stream.resume();
      return;
    }
    fileName = info.filename;
    written = pipeline(stream, createWriteStream(target, { flags: 'wx' }));
    // Awaited below; a cut request must not become an unhandled rejection before that.
    written.catch(() => undefined);
  });
  await pipeline(request, parser);
  await written;
  for (const name of required) if (fields[name] === undefined) throw missingField('body', name);
  if (fileName === undefined) throw missingField('body', filePart);
  return { fields, file: target, fileName };
}

/** Reads the rest of a request, so that an early answer does not cut the sender. */
export async function drained(request: IncomingMessage): Promise<void> {
  for await (const part of request) void part;
}
