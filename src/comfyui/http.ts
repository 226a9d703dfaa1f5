import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';

import axios, { isAxiosError, type AxiosInstance, type AxiosResponse } from 'axios';
import { z } from 'zod';

import { TowerError } from '../errors.js';
import {
  ComfyuiAnswerError,
  ComfyuiAnswerTooLargeError,
  ComfyuiTimeoutError,
  ComfyuiUnreachableError,
  errorOfStatus,
} from './comfyui-errors.js';
import { parsePythonJson } from './python-json.js';

export interface HttpRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  /** Sent as JSON, or as it is when it is a form. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Longest time without a byte. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Statuses beside 2xx that are an answer, not an error. */
  readonly accept?: readonly number[];
}

export interface HttpText {
  readonly status: number;
  readonly text: string;
}

/** Of an answer that is held in memory. A queue shows the graph of every prompt in it. */
const answerLimitBytes = 64 * 1024 ** 2;
/** Of what an error says; the rest is not read. */
const reasonLimitBytes = 4 * 1024;
/** An answer that trickles, byte by byte, is given up after so many times the limit for silence. */
export const wholeAnswerFactor = 10;

/** Requests to one ComfyUI over connections that are kept open. Every failure is a {@link TowerError}. */
export class ComfyuiHttp {
  readonly baseUrl: string;
  readonly #axios: AxiosInstance;

  /** @throws TowerError `COMFYUI_URL_INVALID` */
  constructor(baseUrl: string) {
    this.baseUrl = parseBase(baseUrl).replace(/\/+$/, '');
    this.#axios = axios.create({
      baseURL: this.baseUrl,
      httpAgent: new HttpAgent({ keepAlive: true }),
      httpsAgent: new HttpsAgent({ keepAlive: true }),
      maxRedirects: 0,
      proxy: false,
      validateStatus: null,
      maxBodyLength: Infinity,
    });
  }

  /** @throws TowerError `COMFYUI_UNREACHABLE`, `COMFYUI_TIMEOUT`, `COMFYUI_FAILED`, `COMFYUI_NOT_FOUND`, `COMFYUI_REFUSED` */
  async text(request: HttpRequest): Promise<HttpText> {
    const response = await withinLimit(request, (limited) => this.#send<string>(limited, 'text'));
    if (!isAccepted(response, request)) throw errorOfStatus(nameOf(request), response.status, response.data);
    return { status: response.status, text: response.data };
  }

  /** @throws as {@link text}, and TowerError `COMFYUI_ANSWER_INVALID` */
  async json<Schema extends z.ZodType>(request: HttpRequest, schema: Schema): Promise<z.output<Schema>> {
    const { text: body } = await this.text(request);
    return parseJson(nameOf(request), body, schema);
  }

  /** The answer as a stream; a cut body fails as the stream is read. */
  async stream(request: HttpRequest): Promise<{ readonly length: number | undefined; readonly body: Readable }> {
    const response = await this.#send<Readable>(request, 'stream');
    if (!isAccepted(response, request)) {
      throw errorOfStatus(nameOf(request), response.status, await beginOf(response.data, request.timeoutMs));
    }
    const length = Number(response.headers['content-length'] ?? Number.NaN);
    return { length: Number.isNaN(length) ? undefined : length, body: response.data };
  }

  async #send<Data>(request: HttpRequest, responseType: 'text' | 'stream'): Promise<AxiosResponse<Data>> {
    try {
      return await this.#axios.request<Data>({
        method: request.method,
        url: request.path,
        params: request.query,
        data: request.body,
        headers: request.headers,
        timeout: request.timeoutMs,
        signal: request.signal,
        responseType,
        // A picture is not text, and its length is checked against the bytes on the wire.
        ...(responseType === 'stream'
          ? { headers: { ...request.headers, 'accept-encoding': 'identity' } }
          : { maxContentLength: answerLimitBytes, transformResponse: (body: unknown) => body }),
      });
    } catch (error) {
      request.signal?.throwIfAborted();
      throw connectionError(request, error);
    }
  }
}

/** @throws TowerError `COMFYUI_ANSWER_INVALID` */
export function parseJson<Schema extends z.ZodType>(name: string, body: string, schema: Schema): z.output<Schema> {
  let value: unknown;
  try {
    value = parsePythonJson(body);
  } catch {
    throw new ComfyuiAnswerError(
      name,
      'JSON',
      body.trim() === '' ? 'an empty body' : JSON.stringify(body.slice(0, 80)),
    );
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ComfyuiAnswerError(name, 'what the contract says', z.prettifyError(parsed.error).slice(0, 300));
}

export function nameOf({ method, path }: Pick<HttpRequest, 'method' | 'path'>): string {
  return `ComfyUI ${method} ${path}`;
}

/** @throws ComfyuiTimeoutError when the whole answer takes too long; what `send` throws */
async function withinLimit<Result>(
  request: HttpRequest,
  send: (limited: HttpRequest) => Promise<Result>,
): Promise<Result> {
  const limit = new AbortController();
  const end = () => limit.abort();
  const timer = setTimeout(end, request.timeoutMs * wholeAnswerFactor);
  request.signal?.addEventListener('abort', end);
  try {
    request.signal?.throwIfAborted();
    return await send({ ...request, signal: limit.signal });
  } catch (error) {
    request.signal?.throwIfAborted();
    if (limit.signal.aborted) throw new ComfyuiTimeoutError(nameOf(request), request.timeoutMs, 'whole answer');
    throw error;
  } finally {
    clearTimeout(timer);
    request.signal?.removeEventListener('abort', end);
  }
}

/** What a body begins with; no error is worth a wait for its rest. */
async function beginOf(body: Readable, limitMs: number): Promise<string> {
  const parts: Buffer[] = [];
  const timer = setTimeout(() => body.destroy(), limitMs);
  try {
    let bytes = 0;
    for await (const part of body as AsyncIterable<Buffer>) {
      parts.push(part);
      bytes += part.length;
      if (bytes >= reasonLimitBytes) break;
    }
  } catch {
    // The status is known; what came of the reason is shown.
  } finally {
    clearTimeout(timer);
    body.destroy();
  }
  return Buffer.concat(parts).toString('utf8', 0, reasonLimitBytes);
}

function isAccepted({ status }: AxiosResponse<unknown>, { accept = [] }: HttpRequest): boolean {
  return (status >= 200 && status < 300) || accept.includes(status);
}

function connectionError(request: HttpRequest, error: unknown): unknown {
  if (!isAxiosError(error)) return error;
  if (error.message.startsWith('maxContentLength')) {
    return new ComfyuiAnswerTooLargeError(nameOf(request), answerLimitBytes);
  }
  if (error.code === 'ECONNABORTED' || error.code === 'ETIMEDOUT') {
    return new ComfyuiTimeoutError(nameOf(request), request.timeoutMs);
  }
  return new ComfyuiUnreachableError(nameOf(request), error);
}

function parseBase(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url !== undefined && (url.username !== '' || url.password !== '')) {
    // The address stands in logs, errors and histories; ComfyUI itself knows no login.
    throw new TowerError(
      'COMFYUI_URL_INVALID',
      `The address of the ComfyUI at ${url.host} has a name or password in it`,
      {
        next: 'Give it as http://host:port; a proxy on this machine can add a login.',
      },
    );
  }
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '') return url.href;
  throw new TowerError('COMFYUI_URL_INVALID', `${JSON.stringify(address)} is no address of a ComfyUI`, {
    next: 'Give it as http://host:port.',
  });
}
