import { addAbortSignal, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';

import { TowerError } from '../../errors.js';
import { DownloadIncompleteError, ServerAnswerError, ServerTimeoutError } from './server-errors.js';

export interface BodyOptions {
  readonly encoding: string | undefined;
  /** Longest time without a byte, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

const decoders: Readonly<Record<string, (() => Transform) | undefined>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/**
 * The decoded body of an answer, whatever encoding a proxy has chosen. A body that is cut, stalls or is damaged fails
 * with a typed error; it never just ends.
 *
 * @throws ServerAnswerError for an encoding that nobody asked for
 */
export function answerBody(name: string, wire: Readable, options: BodyOptions): AsyncIterable<Buffer> {
  const body = decoded(name, wire, options.encoding?.trim().toLowerCase());
  // A reader that comes later finds the error in the stream's state.
  body.on('error', () => undefined);
  if (options.signal !== undefined) addAbortSignal(options.signal, body);
  return guarded(name, body, options.timeoutMs);
}

/** @throws DownloadIncompleteError, ServerAnswerError when the body is longer than `limit` bytes */
export async function readText(name: string, body: AsyncIterable<Buffer>, limit: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > limit) throw new ServerAnswerError(name, `at most ${limit} bytes`, 'more');
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** The start of a body, of at most about `limit` bytes; what is wrong with the rest of it does not matter. */
export async function readStart(body: AsyncIterable<Buffer>, limit: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of body) {
      parts.push(part);
      bytes += part.length;
      if (bytes >= limit) break;
    }
  } catch (error) {
    if (!(error instanceof TowerError)) throw error;
  }
  return Buffer.concat(parts).toString('utf8');
}

/** The start of a body for an error message. */
export function quoted(text: string): string {
  return text.trim() === '' ? 'an empty body' : JSON.stringify(text.trim().slice(0, 80));
}

function decoded(name: string, wire: Readable, encoding = 'identity'): Readable {
  if (encoding === 'identity' || encoding === '') return wire;
  const decoder = decoders[encoding]?.();
  if (decoder === undefined) {
    wire.on('error', () => undefined).destroy();
    throw new ServerAnswerError(name, 'a body encoded as gzip, deflate, br or not at all', `encoding ${encoding}`);
  }
  // By hand instead of pipeline(): the reader of the decoder must get the error of the connection.
  wire.once('error', (error) => decoder.destroy(error));
  decoder.once('close', () => wire.destroy());
  return wire.pipe(decoder);
}

async function* guarded(name: string, body: Readable, timeoutMs: number): AsyncGenerator<Buffer> {
  const stall = () => body.destroy(new ServerTimeoutError(name, timeoutMs));
  let watch = setTimeout(stall, timeoutMs);
  try {
    for await (const part of body as AsyncIterable<Buffer>) {
      // A slow reader is no slow server.
      clearTimeout(watch);
      yield part;
      watch = setTimeout(stall, timeoutMs);
    }
  } catch (error) {
    throw bodyError(name, error);
  } finally {
    clearTimeout(watch);
    body.destroy();
  }
}

function bodyError(name: string, error: unknown): unknown {
  if (error instanceof TowerError || (error as Error).name === 'AbortError') return error;
  const { code, message } = error as { code?: string; message?: string };
  return new DownloadIncompleteError(name, `the body is cut or damaged: ${[code, message].join(' ').trim()}`);
}
