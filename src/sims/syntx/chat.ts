import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import { z } from 'zod';

import { SeededRandom } from '../../seeded-random.js';
import type { CallLog } from './call-log.js';
import type { Defects, Fault, Faults } from './faults.js';
import { drawScore, type Landscape } from './landscape.js';
import { formatOf, writeAnswer } from './write-answer.js';

/** Contract syntx 5.1; unknown keys are ignored. */
const requestSchema = z.object({
  prompt: z.string().min(1),
  mode: z.string().nullish(),
  format: z.string().nullish(),
  include_init: z.boolean().default(true),
  include_terminology: z.boolean().default(false),
  max_new_tokens: z.int().min(1).max(4096).default(500),
  temperature: z.number().min(0).max(2).default(0.7),
  top_p: z.number().min(0).max(1).default(0.95),
  do_sample: z.boolean().default(true),
  language: z.string().default('de'),
  debug: z.boolean().default(false),
  style: z.string().nullish(),
});

/** What the service is at a moment; the control routes change it. */
export interface ServiceState {
  landscape: Landscape;
  defects: Defects;
  /** Wrapper files that it has, without `.txt`. */
  readonly wrappers: readonly string[];
  readonly faults: Faults;
  readonly log: CallLog;
  /** How long the model takes. */
  readonly latencyMs: number;
  underWay: number;
}

export interface JsonAnswer {
  readonly status: number;
  readonly json: unknown;
}

export interface ChatAnswer extends JsonAnswer {
  /** Comes over the answer when it is sent. */
  readonly fault: Fault | undefined;
}

const defaultWrapper = 'syntex_wrapper_sigma';

/** `POST /api/chat` and `/resonanz/chat`. */
export async function answerChat(state: ServiceState, path: string, body: string): Promise<ChatAnswer> {
  if (path === '/api/chat' && state.defects.misplacedRoute) return { ...misplaced(), fault: undefined };
  const request = parseRequest(body);
  if ('status' in request) return { ...request, fault: undefined };
  const { prompt, mode = null } = request;
  const wrapper = (mode ?? defaultWrapper).replace(/^syntex_wrapper_/, '');
  const fault = state.faults.take({ wrapper, path, prompt });
  const started = performance.now();
  state.underWay += 1;
  try {
    const modelled = fault?.kind === 'status' || fault?.kind === 'replace' ? null : model(state, wrapper, prompt);
    state.log.append({
      ...{ path, mode, prompt, cell: modelled?.cell ?? null, fault: fault?.kind ?? null, concurrent: state.underWay },
      total: fault?.kind === 'text' ? null : (modelled?.total ?? null),
    });
    if (fault?.kind === 'status') return { status: fault.status, json: { detail: fault.detail }, fault };
    await pause(state.latencyMs + (fault?.kind === 'slow' ? fault.delayMs : 0), undefined, { ref: false });
    const response = fault?.kind === 'text' ? fault.response : (modelled?.text ?? '');
    const chain = fault?.kind === 'chain' ? fault.chain : wrapperChain(state, mode, request.include_init);
    const latencyMs = Math.round(performance.now() - started);
    return { status: 200, json: answerBody(state.defects, { response, chain, latencyMs, request }), fault };
  } finally {
    state.underWay -= 1;
  }
}

function model(state: ServiceState, wrapper: string, prompt: string) {
  const { cell, score } = drawScore(prompt, wrapper, state.landscape);
  const random = new SeededRandom(JSON.stringify([state.landscape.seed, wrapper, prompt, 'answer']));
  return { cell, ...writeAnswer(score, formatOf(wrapper), random) };
}

/** Contract syntx 5.2: existing files only; a missing one is silently replaced. */
function wrapperChain({ wrappers, defects }: ServiceState, mode: string | null, withInit: boolean): string[] {
  const init = withInit && wrappers.includes('syntx_init') ? ['syntx_init'] : [];
  const wanted = mode ?? defaultWrapper;
  if (wrappers.includes(wanted)) return [...init, wanted];
  return init.length > 0 || defects.fallbackWrapper === null ? init : [`${defects.fallbackWrapper} (fallback)`];
}

function answerBody(
  { oldAnswer }: Defects,
  answer: {
    readonly response: string;
    readonly chain: readonly string[] | null;
    readonly latencyMs: number;
    readonly request: z.output<typeof requestSchema>;
  },
): unknown {
  const { response, chain, latencyMs, request } = answer;
  const base = { request_id: randomUUID(), ...(chain !== null && { wrapper_chain: chain }) };
  const last = { latency_ms: latencyMs, simulated: true };
  if (oldAnswer) return { response, metadata: { ...base, ...last } };
  return {
    response,
    metadata: { ...base, format: request.format ?? null, format_fields: [], style: null, ...last },
    field_flow: [],
    debug_info: request.debug ? { prompt_len: request.prompt.length } : null,
    style_info: null,
  };
}

function parseRequest(body: string): z.output<typeof requestSchema> | JsonAnswer {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return unprocessable([{ type: 'json_invalid', loc: ['body', 0], msg: 'JSON decode error', input: {} }]);
  }
  const parsed = requestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  return unprocessable(
    parsed.error.issues.map(({ path, message }) => ({
      ...{ type: 'value_error', loc: ['body', ...path.map(String)], msg: message, input: null },
    })),
  );
}

function misplaced(): JsonAnswer {
  const wanted = ['filename_base', 'format_name', 'response_text'];
  return unprocessable(
    wanted.map((name) => ({ type: 'missing', loc: ['query', name], msg: 'Field required', input: null })),
  );
}

function unprocessable(detail: unknown): JsonAnswer {
  return { status: 422, json: { detail } };
}
