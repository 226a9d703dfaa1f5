import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';

import axios, { isAxiosError, type AxiosInstance, type AxiosResponse } from 'axios';
import { z } from 'zod';

import { TowerError } from '../errors.js';
import { ComfyuiAnswerError, ComfyuiTimeoutError, ComfyuiUnreachableError, errorOfStatus } from './comfyui-errors.js';

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

const answerLimitBytes = 64 * 1024 ** 2;

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
    const response = await this.#send<string>(request, 'text');
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
      throw errorOfStatus(nameOf(request), response.status, await text(response.data).catch(() => ''));
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
    value = JSON.parse(body);
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

function isAccepted({ status }: AxiosResponse<unknown>, { accept = [] }: HttpRequest): boolean {
  return (status >= 200 && status < 300) || accept.includes(status);
}

function connectionError(request: HttpRequest, error: unknown): unknown {
  if (!isAxiosError(error)) return error;
  if (error.code === 'ECONNABORTED' || error.code === 'ETIMEDOUT') {
    return new ComfyuiTimeoutError(nameOf(request), request.timeoutMs);
  }
  return new ComfyuiUnreachableError(nameOf(request), error);
}

function parseBase(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.search === '' && url.hash === '') return url.href;
  throw new TowerError('COMFYUI_URL_INVALID', `${JSON.stringify(address)} is no address of a ComfyUI`, {
    next: 'Give it as http://host:port.',
  });
}
