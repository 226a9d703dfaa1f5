import OpenAI, { APIConnectionError, APIError } from 'openai';
import { z } from 'zod';

import { requireApiKey } from './api-key.js';
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

/** One OpenAI-compatible chat endpoint. Calls are not repeated here, and no error or log shows the key. */
export class ChatEndpoint {
  readonly #client: OpenAI;
  readonly #apiKey: string;
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
    this.#apiKey = apiKey ?? noKey;
    this.#options = options;
    this.#client = new OpenAI({
      ...{ apiKey: this.#apiKey, baseURL: options.baseUrl, maxRetries: 0, logLevel: 'off' },
      fetch: fetchExplained,
    });
  }

  /**
   * Asks with one user message.
   *
   * @throws ChatError for every failure of the endpoint; the reason of `signal` when that is aborted.
   */
  async ask(message: string, signal: AbortSignal): Promise<ChatAnswer> {
    // The library's own time limit ends when the headers are there.
    const limit = AbortSignal.timeout(this.#options.timeoutSeconds * 1000);
    let value: unknown;
    try {
      value = await this.#client.chat.completions.create(this.#request(message), {
        signal: AbortSignal.any([signal, limit]),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (limit.aborted) throw new ChatError('connection', `no whole answer within ${this.#options.timeoutSeconds} s`);
      throw this.#chatError(error);
    }
    const parsed = answerSchema.safeParse(value);
    if (!parsed.success) throw new ChatError('other', `expected a chat completion, found ${this.#shown(value)}`);
    const { id, model, choices, usage } = parsed.data;
    const { message: answer, finish_reason: finishReason } = choices[0]!;
    return {
      ...{ id: id ?? null, model, text: answer.content ?? null },
      ...{ finishReason: finishReason ?? null, refusal: answer.refusal ?? null },
      usage: { inputTokens: usage?.prompt_tokens ?? 0, outputTokens: usage?.completion_tokens ?? 0 },
    };
  }

  #request(message: string): OpenAI.ChatCompletionCreateParamsNonStreaming {
    const { model, parameters } = this.#options;
    return { ...parameters, model, messages: [{ role: 'user', content: message }], stream: false };
  }

  #chatError(error: unknown): ChatError {
    if (error instanceof APIConnectionError) return new ChatError('connection', this.#shown(rootCause(error).message));
    const message = this.#shown(error instanceof Error ? error.message : error);
    if (error instanceof APIError) return ChatError.ofStatus(error.status as number | undefined, error.code, message);
    // A connection that is cut inside the body comes from fetch itself.
    return new ChatError(error instanceof TypeError ? 'connection' : 'other', message);
  }

  #shown(value: unknown): string {
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return (text ?? 'nothing').replaceAll(this.#apiKey, '[key]').slice(0, 300);
  }
}

/** The innermost cause says what happened: `connect ECONNREFUSED 127.0.0.1:9`. */
function rootCause(error: Error): Error {
  let cause = error;
  while (cause.cause instanceof Error) cause = cause.cause;
  return cause;
}

/** The library drops what errors say unless they say it under `error`, as OpenAI does; servers in Python have `detail`. */
async function fetchExplained(url: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetch(url, init);
  if (response.ok) return response;
  const text = await response.text();
  const said = errorSchema.safeParse(parseJson(text));
  const body = said.success ? text : JSON.stringify({ error: { message: text.trim() || 'no reason given' } });
  return new Response(body, { status: response.status, headers: { 'content-type': 'application/json' } });
}

const errorSchema = z.looseObject({ error: z.looseObject({ message: z.string() }) });

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
