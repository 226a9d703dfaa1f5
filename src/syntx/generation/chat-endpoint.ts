import axios from 'axios';
import OpenAI, { APIConnectionError, APIError } from 'openai';
import { z } from 'zod';

import { isLoopback } from '../../loopback.js';
import { baseUrlOf, requireApiKey } from './api-key.js';
import { ChatError } from './chat-error.js';
import type { TokenUsage } from './gpt-cost.js';
import type { GenerationOptions } from './options.js';

/** What the model answered. */
export interface ChatAnswer {
  /** Names this answer; `null` when the endpoint gives none. */
  readonly id: string | null;
  /** The model that answered, as the endpoint calls it. */
  readonly model: string;
  readonly text: string | null;
  readonly finishReason: string | null;
  /** What the model says when it refuses in a field of its own. */
  readonly refusal: string | null;
  readonly usage: TokenUsage;
}

const answerSchema = z.looseObject({
  id: z.string().nullish(),
  model: z.string(),
  choices: z
    .array(
      z.looseObject({
        finish_reason: z.string().nullish(),
        message: z.looseObject({ content: z.string().nullish(), refusal: z.string().nullish() }),
      }),
    )
    .min(1),
  usage: z.looseObject({ prompt_tokens: z.number().default(0), completion_tokens: z.number().default(0) }).nullish(),
});

/** Ollama and its like want no key, the client library wants one. */
const noKey = 'none';

const limitMarginMs = 5_000;

/** Far above what a prompt takes, with all that a model thinks before it; an answer that does not end fills no memory. */
const mostMebibytes = 4;

/** One OpenAI-compatible chat endpoint. Calls are not repeated here, and no error or log shows the key. */
export class ChatEndpoint {
  readonly #client: OpenAI;
  readonly #apiKey: string | undefined;
  readonly #options: Pick<GenerationOptions, 'model' | 'parameters' | 'timeoutSeconds'>;

  /**
   * @param apiKey - `undefined` for an endpoint of one's own that wants none.
   * @throws TowerError `LLM_KEY_MISSING`
   */
  constructor(
    options: Pick<GenerationOptions, 'baseUrl' | 'model' | 'parameters' | 'timeoutSeconds'>,
    apiKey: string | undefined,
  ) {
    requireApiKey(options, apiKey);
    this.#apiKey = apiKey;
    this.#options = options;
    this.#client = new OpenAI({
      ...{ apiKey: apiKey ?? noKey, baseURL: baseUrlOf(options), maxRetries: 0, logLevel: 'off' },
      // The library's own limit, of ten minutes by default, must not come before ours.
      ...{ fetch: fetchExplained, timeout: options.timeoutSeconds * 1000 + limitMarginMs },
    });
  }

  /**
   * Asks with one user message.
   *
   * @throws ChatError for every failure of the endpoint; the reason of `signal` when that is aborted.
   */
  async ask(message: string, signal: AbortSignal): Promise<ChatAnswer> {
    const limit = AbortSignal.timeout(this.#options.timeoutSeconds * 1000);
    let value: unknown;
    try {
      value = await this.#client.chat.completions.create(this.#request(message), {
        signal: AbortSignal.any([signal, limit]),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (limit.aborted) throw new ChatError('connection', tooSlow(this.#options));
      throw this.#chatError(error);
    }
    const parsed = answerSchema.safeParse(value);
    if (!parsed.success) throw new ChatError('other', `expected a chat completion, found ${this.#shown(value)}`);
    const { id, model, choices, usage } = parsed.data;
    const { message: answer, finish_reason: finishReason } = choices[0]!;
    return {
      ...{ id: id ?? null, model, text: answer.content ?? null },
      // Some servers always have the field, and leave it empty.
      ...{ finishReason: finishReason ?? null, refusal: answer.refusal === '' ? null : (answer.refusal ?? null) },
      usage: { inputTokens: usage?.prompt_tokens ?? 0, outputTokens: usage?.completion_tokens ?? 0 },
    };
  }

  #request(message: string): OpenAI.ChatCompletionCreateParamsNonStreaming {
    const { model, parameters } = this.#options;
    return { ...parameters, model, messages: [{ role: 'user', content: message }], stream: false };
  }

  #chatError(error: unknown): ChatError {
    if (error instanceof Error && rootCause(error).message.startsWith('maxContentLength')) {
      return new ChatError('other', `expected an answer of at most ${mostMebibytes} MiB, found more`);
    }
    if (error instanceof APIConnectionError) return new ChatError('connection', this.#shown(rootCause(error).message));
    const message = this.#shown(error instanceof Error ? error.message : error);
    if (error instanceof APIError) return ChatError.ofStatus(error.status as number | undefined, error.code, message);
    return new ChatError('other', message);
  }

  #shown(value: unknown): string {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    const shown = text ?? 'nothing';
    return (this.#apiKey === undefined ? shown : shown.replaceAll(this.#apiKey, '[key]')).slice(0, 300);
  }
}

/** The innermost cause says what happened: `connect ECONNREFUSED 127.0.0.1:9`. */
function rootCause(error: Error): Error {
  let cause = error;
  while (cause.cause instanceof Error) cause = cause.cause;
  return cause;
}

function tooSlow({ timeoutSeconds }: Pick<GenerationOptions, 'timeoutSeconds'>): string {
  return `no whole answer within ${timeoutSeconds} s (syntx.generation.timeoutSeconds)`;
}

/**
 * What the library calls as `fetch`. Node's own ends a call after five minutes without headers, and a model on a CPU may take
 * longer; here only the signal ends it. The library drops what errors say unless they say it under `error`, as OpenAI does;
 * servers in Python have `detail`.
 */
async function fetchExplained(url: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  const address = url instanceof Request ? url.url : url.toString();
  const { status, data, headers } = await axios.request<string>({
    url: address,
    ...{ method: init.method ?? 'GET', data: init.body, signal: init.signal ?? undefined },
    headers: Object.fromEntries(new Headers(init.headers)),
    ...{ responseType: 'text', transformResponse: [], validateStatus: null, maxRedirects: 0 },
    maxContentLength: mostMebibytes * 2 ** 20,
    ...(isLoopback(address) && { proxy: false as const }),
  });
  const isOk = status >= 200 && status < 300;
  if (isOk) return new Response(data, { status, headers: { 'content-type': String(headers['content-type'] ?? '') } });
  const said = errorSchema.safeParse(parseJson(data));
  const location = headers['location'] as string | undefined;
  const other =
    location === undefined ? data.trim() || 'no reason given' : `it points to ${location}, which is not asked`;
  const body = said.success ? data : JSON.stringify({ error: { message: other } });
  return new Response(body, { status, headers: { 'content-type': 'application/json' } });
}

const errorSchema = z.looseObject({ error: z.looseObject({ message: z.string() }) });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
