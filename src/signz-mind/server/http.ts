import { pipeline, Transform, type Readable } from 'node:stream';

import axios, { type AxiosResponse, type RawAxiosRequestHeaders } from 'axios';

import { TowerError } from '../../errors.js';
import { isLoopback } from '../../loopback.js';
import { answerBody, quoted, readStart, readText } from './answer-body.js';
import {
  errorOfStatus,
  readErrorAnswer,
  ServerAnswerError,
  ServerTimeoutError,
  ServerUnreachableError,
} from './server-errors.js';

export interface HttpOptions {
  /** Base address, may have a path prefix; trailing slashes do not count. */
  readonly baseUrl: string;
  readonly apiKey: string;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  /** Appended to the base address; parts taken from outside are already encoded. */
  readonly path: string;
  readonly accept?: string;
  readonly headers?: RawAxiosRequestHeaders;
  readonly body?: Readable;
  /** Called with the size of every part of the body that the connection has taken. */
  readonly onSent?: (bytes: number) => void;
  /** Longest time without any byte moving, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  /** Whether the end of the body is told from a cut connection: by its length or by chunks. */
  readonly delimited: boolean;
  /** Decoded body; it fails with a typed error when it is cut, stalls or is damaged. */
  readonly body: AsyncIterable<Buffer>;
}

const redirectLimit = 3;
const errorBodyLimit = 64 * 1024;

/**
 * One connection to the server: every request carries the key, every failure is a {@link TowerError} that does not.
 * Redirects are followed for GET within the same origin only, so that the key goes nowhere else.
 */
export class SignzMindHttp {
  readonly #base: URL;
  readonly #apiKey: string;

  /** @throws TowerError `SERVER_URL_INVALID` */
  constructor({ baseUrl, apiKey }: HttpOptions) {
    this.#base = parseBase(baseUrl);
    this.#apiKey = apiKey;
  }

  /** Sends the request. @returns the answer when its status is 2xx; every other outcome is thrown. */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    let url = new URL(`${this.#base.href.replace(/\/+$/, '')}${request.path}`);
    const name = `${request.method} ${url.origin}${url.pathname}`;
    for (let redirects = 0; ; redirects++) {
      const response = await this.#once(name, url, request);
      const target = redirects < redirectLimit ? sameOriginTarget(request, response, url) : undefined;
      if (target === undefined) return this.#accept(name, response, request);
      response.data.on('error', () => undefined).resume();
      url = target;
    }
  }

  /** Sends the request and reads a JSON value of at most 32 MiB. @throws TowerError `SERVER_ANSWER_INVALID` */
  async json(request: HttpRequest): Promise<unknown> {
    const name = `${request.method} ${request.path}`;
    const answer = await this.send({ accept: 'application/json', ...request });
    const text = await readText(name, answer.body, 32 * 1024 * 1024);
    try {
      return JSON.parse(text) as unknown;
    } catch {
      throw new ServerAnswerError(name, 'JSON', `${answer.contentType || 'no content type'}, ${quoted(text)}`);
    }
  }

  async #once(name: string, url: URL, request: HttpRequest): Promise<AxiosResponse<Readable>> {
    const stall = new AbortController();
    const watch = setTimeout(() => stall.abort(), request.timeoutMs);
    try {
      return await axios.request<Readable>({
        method: request.method,
        url: url.href,
        headers: {
          'X-API-Key': this.#apiKey,
          accept: request.accept ?? '*/*',
          'accept-encoding': 'gzip, deflate',
          'content-type': null,
          ...(request.method === 'POST' && request.body === undefined && { 'content-length': '0' }),
          ...request.headers,
        },
        // Undecoded: axios accepts a cut gzip stream, our decoder does not.
        decompress: false,
        data:
          request.body &&
          watched(request.body, (bytes) => {
            watch.refresh();
            request.onSent?.(bytes);
          }),
        responseType: 'stream',
        maxRedirects: 0,
        validateStatus: null,
        ...(isLoopback(url) && { proxy: false }),
        signal: request.signal === undefined ? stall.signal : AbortSignal.any([stall.signal, request.signal]),
      });
    } catch (error) {
      request.signal?.throwIfAborted();
      if (stall.signal.aborted) throw new ServerTimeoutError(name, request.timeoutMs);
      throw this.#connectionError(name, error);
    } finally {
      clearTimeout(watch);
    }
  }

  async #accept(name: string, response: AxiosResponse<Readable>, request: HttpRequest): Promise<HttpAnswer> {
    const header = (key: string): string | undefined => {
      const value: unknown = response.headers[key];
      return typeof value === 'string' ? value : undefined;
    };
    const body = answerBody(name, response.data, { encoding: header('content-encoding'), ...request });
    if (response.status < 200 || response.status >= 300) {
      const location = header('location');
      // The status decides, whatever becomes of the body that comes with it.
      const text = location === undefined ? await readStart(body, errorBodyLimit) : `to ${location}`;
      if (location !== undefined) response.data.destroy();
      throw errorOfStatus(name, response.status, readErrorAnswer(this.#redacted(text), header('retry-after')));
    }
    const length = header('content-length');
    return {
      status: response.status,
      contentType: header('content-type') ?? '',
      delimited: length !== undefined || header('transfer-encoding') !== undefined,
      body,
    };
  }

  #connectionError(name: string, error: unknown): TowerError {
    const { code, message } = error as { code?: string; message?: string };
    return new ServerUnreachableError(name, { code, message: this.#redacted(message ?? '') });
  }

  #redacted(text: string): string {
    return text.replaceAll(this.#apiKey, '[key]');
  }
}

/** Reports every part that the connection takes, and fails where the source fails. */
function watched(source: Readable, onData: (bytes: number) => void): Readable {
  const body = new Transform({
    transform(part: Buffer, _encoding, done) {
      onData(part.length);
      done(null, part);
    },
  });
  return pipeline(source, body, () => undefined);
}

function sameOriginTarget(request: HttpRequest, response: AxiosResponse<Readable>, from: URL): URL | undefined {
  const location: unknown = response.headers['location'];
  const isRedirect = [301, 302, 303, 307, 308].includes(response.status);
  if (!isRedirect || typeof location !== 'string' || request.method !== 'GET') return undefined;
  const target = URL.canParse(location, from.href) ? new URL(location, from.href) : undefined;
  return target?.origin === from.origin ? target : undefined;
}

function parseBase(baseUrl: string): URL {
  const url = URL.canParse(baseUrl) ? new URL(baseUrl) : undefined;
  const fault =
    url === undefined || !/^https?:$/.test(url.protocol)
      ? 'expected an http or https address'
      : url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== ''
        ? 'expected no user, query or fragment in the address'
        : undefined;
  if (url === undefined || fault !== undefined) {
    throw new TowerError('SERVER_URL_INVALID', `server.url: ${fault ?? 'not an address'}`, {
      next: 'Set `server.url`, for example to http://127.0.0.1:8000.',
    });
  }
  return url;
}
