import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import { z } from 'zod';

import type { LlmFault, LlmFaults } from './faults.js';
import { simulatedPromptText } from './prompt-text.js';

export interface LlmServerOptions {
  /** 0, the default, takes a free port. Loopback only. */
  readonly port?: number;
  /** The only key it takes; default: any, and none. */
  readonly apiKey?: string;
  /** How long a completion takes, in milliseconds. Default 0. */
  readonly latencyMs?: number;
  readonly faults?: LlmFaults;
}

/** One request for a completion. */
export interface LlmRequest {
  readonly model: string;
  readonly message: string;
  /** Everything but model and messages, as it was sent. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly fault: string | null;
}

export interface LlmServer {
  /** Base address as clients want it, with `/v1`. */
  readonly address: string;
  readonly requests: readonly LlmRequest[];
  /** Completions under way at the same time, at most so far. */
  readonly mostAtOnce: number;
  close(): Promise<void>;
}

const requestSchema = z.looseObject({
  model: z.string().min(1),
  messages: z.array(z.looseObject({ role: z.string(), content: z.string() })).min(1),
});

/** Every model of it says so: whoever shows the name of the model shows that it is simulated. */
const modelName = (asked: string) => (asked.startsWith('simulated') ? asked : `simulated-${asked}`);

/**
 * A simulated OpenAI-compatible endpoint: `POST /v1/chat/completions` and `GET /v1/models`. Its texts are made of the message
 * alone, and differ each time that the same message is sent.
 */
export async function startLlmServer(options: LlmServerOptions = {}): Promise<LlmServer> {
  const simulation = new LlmSimulation(options);
  const server = createServer((request, response) => {
    response.setHeader('X-Simulated', 'true');
    simulation.handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}/v1`,
    requests: simulation.requests,
    get mostAtOnce() {
      return simulation.mostAtOnce;
    },
    close: () =>
      new Promise<void>((resolve, reject) => {
        server.close((error) => (error === undefined ? resolve() : reject(error)));
        server.closeAllConnections();
      }),
  };
}

class LlmSimulation {
  readonly requests: LlmRequest[] = [];
  mostAtOnce = 0;
  readonly #options: LlmServerOptions;
  readonly #repetitions = new Map<string, number>();
  #previousText = '';
  #underWay = 0;

  constructor(options: LlmServerOptions) {
    this.#options = options;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const { apiKey } = this.#options;
    if (apiKey !== undefined && request.headers.authorization !== `Bearer ${apiKey}`) {
      sendError(response, 401, { message: 'Incorrect API key provided (simulated)', code: 'invalid_api_key' });
    } else if (request.method === 'GET' && request.url === '/v1/models') {
      const models = [{ id: 'simulated-llm', object: 'model', created: 0, owned_by: 'tower (simulated)' }];
      send(response, 200, { object: 'list', data: models });
    } else if (request.method === 'POST' && request.url === '/v1/chat/completions') {
      await this.#complete(body, response);
    } else {
      sendError(response, 404, { message: `Unknown route ${request.url ?? ''} (simulated)`, code: 'not_found' });
    }
  }

  async #complete(body: string, response: ServerResponse): Promise<void> {
    const parsed = requestSchema.safeParse(parseJson(body));
    if (!parsed.success) {
      sendError(response, 400, { message: `${z.prettifyError(parsed.error)} (simulated)`, code: null });
      return;
    }
    const { model, messages, ...parameters } = parsed.data;
    const message = messages.at(-1)!.content;
    const fault = this.#options.faults?.(message);
    this.requests.push({ model, message, parameters, fault: fault?.kind ?? null });
    this.#underWay += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#underWay);
    try {
      await later((this.#options.latencyMs ?? 0) + (fault?.kind === 'slow' ? fault.milliseconds : 0), response);
      this.#answer({ model, message }, fault, response);
    } finally {
      this.#underWay -= 1;
    }
  }

  #answer(
    { model, message }: { readonly model: string; readonly message: string },
    fault: LlmFault | undefined,
    response: ServerResponse,
  ): void {
    const completion = (choice: object) => ({
      ...{ id: `chatcmpl-simulated-${this.requests.length}`, object: 'chat.completion', created: 0 },
      ...{ model: modelName(model), choices: [{ index: 0, logprobs: null, ...choice }] },
      usage: usageOf(message, JSON.stringify(choice)),
    });
    const said = (content: string | null, finish = 'stop', refusal: string | null = null) =>
      send(response, 200, completion({ message: { role: 'assistant', content, refusal }, finish_reason: finish }));
    switch (fault?.kind) {
      case undefined:
      case 'slow':
        this.#previousText = this.#newText(message);
        return said(this.#previousText);
      case 'repeat':
        return said(this.#previousText);
      case 'empty':
        return said(fault.content);
      case 'refusal':
        if (fault.by === 'content-filter') return said('', 'content_filter');
        if (fault.by === 'field') return said(null, 'stop', 'I refuse (simulated).');
        return said('Es tut mir leid, dabei kann ich nicht helfen (simuliert).');
      case 'rate-limit':
        if (fault.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(fault.retryAfterSeconds));
        return sendError(response, 429, {
          message: fault.quota ? 'You exceeded your current quota (simulated)' : 'Rate limit reached (simulated)',
          code: fault.quota ? 'insufficient_quota' : 'rate_limit_exceeded',
        });
      case 'status':
        return sendError(response, fault.status, { message: fault.message, code: null });
      case 'cut':
        if (fault.when === 'before-answer') response.destroy();
        else sendHalf(response, () => response.destroy());
        return;
      case 'half-body':
        return sendHalf(response, () => undefined);
      case 'silence':
        return;
      case 'replace':
        response.writeHead(200, { 'content-type': fault.contentType }).end(fault.body);
    }
  }

  #newText(message: string): string {
    const repetition = this.#repetitions.get(message) ?? 0;
    this.#repetitions.set(message, repetition + 1);
    return simulatedPromptText(message, repetition);
  }
}

function send(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function sendError(response: ServerResponse, status: number, error: { message: string; code: string | null }): void {
  send(response, status, { error: { ...error, type: 'simulated', param: null } });
}

function sendHalf(response: ServerResponse, then: () => void): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '5000' });
  response.write('{"id":"chatcmpl-simulated', then);
}

/** Four characters a token, about as real tokenizers do. */
function usageOf(message: string, answer: string): Record<string, number> {
  const [prompt, completion] = [Math.ceil(message.length / 4), Math.ceil(answer.length / 4)];
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

/** Waits; a client that goes away ends the wait. */
async function later(milliseconds: number, response: ServerResponse): Promise<void> {
  if (milliseconds === 0) return;
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    response.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
