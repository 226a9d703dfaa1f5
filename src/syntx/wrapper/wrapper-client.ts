import axios, { type AxiosResponse } from 'axios';
import { z } from 'zod';

import { TowerError } from '../../errors.js';
import { isLoopback } from '../../loopback.js';
import type { ServiceOptions } from '../../service-options.js';
import type { WrapperFault } from './wrapper-faults.js';
import { answerInvalid, faultOfStatus, timedOut, unreachable, wrapperMismatch } from './wrapper-faults.js';

/** What is sent with every prompt (contract syntx 3.2). */
export interface GenerationParameters {
  readonly maxNewTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly doSample: boolean;
}

export interface WrapperClientOptions {
  /** Address of the service, may have a path prefix. */
  readonly url: string;
  /** Default `/api/chat`, and `/resonanz/chat` where that is broken (contract syntx 5.1). A path of one's own has no other. */
  readonly path?: string;
  readonly parameters?: Partial<GenerationParameters>;
  /** Longest time for one call as a whole, in milliseconds. Default 1800 s. */
  readonly timeoutMs?: number;
}

export interface WrapperAnswer {
  /** May be empty. */
  readonly response: string;
  readonly wrapperChain: readonly string[];
  readonly requestId: string | null;
  /** The service says that no model answered. */
  readonly simulated: boolean;
  readonly durationMs: number;
}

const chatPath = '/api/chat';
const workingPath = '/resonanz/chat';
/** Far above 4096 tokens, and far below the size from which metadata with an answer in them are not read. */
const answerLimit = 2 ** 20;
const detailLimit = 300;

/** What the original sends (contract syntx 3.2). */
const defaultParameters: GenerationParameters = { maxNewTokens: 1024, temperature: 0.3, topP: 0.85, doSample: true };

const answerSchema = z.looseObject({ response: z.string() });
const metadataSchema = z.object({
  metadata: z.object({
    wrapper_chain: z.array(z.string()),
    request_id: z.string().nullish().catch(null),
    simulated: z.boolean().optional().catch(undefined),
  }),
});

/**
 * The wrapper service in front of the model (contract syntx 5): one prompt, wrapped once, by the wrapper that was asked for.
 * Every failed call is a {@link WrapperFault}.
 */
export class WrapperClient {
  readonly #base: string;
  readonly #options: WrapperClientOptions;
  readonly #parameters: GenerationParameters;
  readonly #timeoutMs: number;
  #path: string;

  /** @throws TowerError `WRAPPER_URL_INVALID` */
  constructor(options: WrapperClientOptions) {
    if (!URL.canParse(options.url) || !/^https?:$/.test(new URL(options.url).protocol)) {
      throw new TowerError('WRAPPER_URL_INVALID', 'syntx.wrapper.url: expected an http or https address', {
        next: 'Set `syntx.wrapper.url`, for example to http://127.0.0.1:8001.',
      });
    }
    this.#base = options.url.replace(/\/+$/, '');
    this.#options = options;
    this.#parameters = { ...defaultParameters, ...options.parameters };
    this.#timeoutMs = options.timeoutMs ?? 1_800_000;
    this.#path = options.path ?? chatPath;
  }

  /** What is sent with every prompt, under its names on the wire. */
  get parameters(): Readonly<Record<string, unknown>> {
    const { maxNewTokens, temperature, topP, doSample } = this.#parameters;
    return { max_new_tokens: maxNewTokens, temperature, top_p: topP, do_sample: doSample };
  }

  /**
   * Sends a prompt through a wrapper; the wrapper is named and not prepended, so that the service applies it and no other.
   *
   * @param wrapper name without its prefix, for example `sigma`.
   * @throws WrapperFault
   */
  async ask(
    prompt: string,
    wrapper: string,
    options: Partial<Pick<ServiceOptions, 'signal'>> = {},
  ): Promise<WrapperAnswer> {
    const mode = modeOf(wrapper);
    const body = { prompt, mode, include_init: false, include_terminology: false, ...this.parameters };
    const started = performance.now();
    const { name, response } = await this.#post(body, options.signal);
    return { ...readAnswer(name, mode, response), durationMs: Math.round(performance.now() - started) };
  }

  /**
   * Asks at the configured path; without one, at the path that worked last, and where that is broken (422; 404 once the service is
   * mended) at the other, from then on.
   */
  async #post(body: object, signal: AbortSignal | undefined): Promise<Exchange> {
    // Calls at the same time may switch the path meanwhile.
    const path = this.#path;
    const isDefault = path === chatPath;
    const first = await this.#once(path, body, signal);
    const { status } = first.response;
    if (this.#options.path !== undefined || !(status === 422 || (status === 404 && !isDefault))) return first;
    const otherPath = isDefault ? workingPath : chatPath;
    const other = await this.#once(otherPath, body, signal);
    // Where the other path does not exist, the first one's complaint is the one that helps.
    if (other.response.status === 404) return first;
    // Wrong at both: the default one may complain of what nobody sent.
    if (other.response.status === 422) return isDefault ? other : first;
    this.#path = otherPath;
    return other;
  }

  async #once(path: string, body: object, signal: AbortSignal | undefined): Promise<Exchange> {
    const url = `${this.#base}${path}`;
    const name = `POST ${path}`;
    const limit = AbortSignal.timeout(this.#timeoutMs);
    try {
      const response = await axios.post<ArrayBuffer>(url, body, {
        headers: { accept: 'application/json', 'accept-encoding': 'identity' },
        ...{ responseType: 'arraybuffer', decompress: false, maxContentLength: answerLimit },
        ...{ maxRedirects: 0, validateStatus: null, ...(isLoopback(url) && { proxy: false as const }) },
        signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
      });
      return { name, url, response };
    } catch (error) {
      signal?.throwIfAborted();
      if (limit.aborted) throw timedOut(name, this.#timeoutMs);
      throw connectionFault(name, error);
    }
  }
}

interface Exchange {
  readonly name: string;
  readonly url: string;
  readonly response: AxiosResponse<ArrayBuffer>;
}

/** The file stem of a wrapper (contract syntx 3.1). */
export function modeOf(wrapper: string): string {
  return wrapper.startsWith('syntex_wrapper_') ? wrapper : `syntex_wrapper_${wrapper}`;
}

function readAnswer(
  name: string,
  mode: string,
  response: AxiosResponse<ArrayBuffer>,
): Omit<WrapperAnswer, 'durationMs'> {
  const text = Buffer.from(response.data).toString('utf8');
  const { status } = response;
  if (status < 200 || status >= 300) {
    throw faultOfStatus(name, {
      ...{ status, detail: detailOf(text), url: response.config.url ?? name },
      retryAfterMs: retryAfterOf(response.headers['retry-after']),
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const found = text.trim() === '' ? 'an empty body' : JSON.stringify(text.trim().slice(0, 80));
    throw answerInvalid(name, `expected JSON, found ${found}`, `JSONDecodeError: ${(error as Error).message}`);
  }
  const answer = answerSchema.safeParse(value);
  if (!answer.success) {
    throw answerInvalid(name, 'expected an object with `response`', 'ValueError: Invalid response format');
  }
  const described = metadataSchema.safeParse(value);
  const chain = described.data?.metadata.wrapper_chain;
  if (chain?.includes(mode) !== true) throw wrapperMismatch(name, mode, chain);
  const requestId = described.data?.metadata.request_id ?? null;
  const simulated = described.data?.metadata.simulated === true;
  return { response: answer.data.response, wrapperChain: chain, requestId, simulated };
}

/** FastAPI's `detail`; any other body becomes its own start. */
function detailOf(text: string): string {
  let detail: unknown = text;
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'detail' in body) detail = body.detail;
  } catch {
    // Not JSON: the text itself is the detail.
  }
  return (typeof detail === 'string' ? detail : JSON.stringify(detail)).trim().slice(0, detailLimit);
}

function retryAfterOf(header: unknown): number | undefined {
  const seconds = typeof header === 'string' && header.trim() !== '' ? Number(header) : Number.NaN;
  return seconds >= 0 ? Math.min(seconds, 3600) * 1000 : undefined;
}

function connectionFault(name: string, error: unknown): WrapperFault {
  const { code, message = 'no reason given' } = error as { code?: string; message?: string };
  if (message.includes('maxContentLength')) {
    return answerInvalid(
      name,
      'expected an answer of at most 1 MiB, found more',
      'ValueError: Invalid response format',
    );
  }
  const reason = code === undefined || message.includes(code) ? message : `${code} ${message}`;
  return unreachable(name, reason || (code ?? 'no reason given'));
}
