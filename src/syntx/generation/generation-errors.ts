import { TowerError, type TowerErrorOptions } from '../../errors.js';
import type { EndpointPatience } from './endpoint-patience.js';
import type { FailedPrompt, PromptFailure } from './prompt-result.js';

/** After these no other prompt of the run has a chance. */
export const hopelessFailures: ReadonlySet<PromptFailure> = new Set(['key', 'model', 'quota']);

/** These say something of the endpoint or of every request; one alone may be chance. */
export const failuresOfEndpoint: ReadonlySet<PromptFailure> = new Set(['connection', 'rate-limit', 'server', 'other']);

interface Kind extends Pick<TowerErrorOptions, 'next' | 'retryable' | 'retryAfterMs'> {
  readonly code: string;
}

const minute = 60_000;
/** An endpoint that is away or broken is left alone for a while; a run waits for it as long as there is patience. */
const later = {
  retryable: true,
  retryAfterMs: 5 * minute,
  next: 'The run is tried again; check the endpoint if this goes on.',
};
const kinds: Readonly<Record<PromptFailure, Kind>> = {
  key: { code: 'LLM_KEY_REJECTED', next: 'Put a valid key for the endpoint into place.' },
  model: { code: 'LLM_MODEL_UNKNOWN', next: 'Check the base URL, which ends with /v1, and the name of the model.' },
  quota: { code: 'LLM_QUOTA_EXHAUSTED', next: 'Raise the quota of the account, or take another endpoint.' },
  'rate-limit': { code: 'LLM_RATE_LIMITED', ...later, retryAfterMs: minute },
  connection: { code: 'LLM_UNREACHABLE', ...later },
  server: { code: 'LLM_FAILED', ...later },
  other: { code: 'LLM_ANSWER_INVALID', next: 'Check that the endpoint speaks the OpenAI chat protocol.' },
  refused: { code: 'PROMPTS_REFUSED', next: 'Take other topics, or another model.' },
  similar: { code: 'PROMPTS_SIMILAR', next: 'Take more topics, a higher temperature, or a higher similarity limit.' },
  empty: { code: 'LLM_ANSWER_INVALID', next: 'Check the parameters: a limit of tokens may be too low for this model.' },
  long: { code: 'LLM_ANSWER_INVALID', next: 'Check the parameters: limit the tokens of an answer.' },
  input: { code: 'TOPIC_EMPTY', next: 'Remove the empty topic from the configuration.' },
};

/** Not one prompt was made: the most telling failure as an error, with how many failed how; retryable while there is patience. */
export function nothingMade(failed: readonly FailedPrompt[], patience: EndpointPatience): TowerError {
  const counts: Partial<Record<PromptFailure, number>> = {};
  for (const { failure } of failed) counts[failure] = (counts[failure] ?? 0) + 1;
  const order = Object.keys(kinds) as PromptFailure[];
  const worst = order.find((failure) => counts[failure] !== undefined) ?? 'other';
  const { error } = failed.find(({ failure }) => failure === worst)!;
  const { code, ...rest } = kinds[worst];
  const message = `none of ${failed.length} prompts could be made: ${error}`;
  if (rest.retryAfterMs === undefined || !patience.isOverIn(rest.retryAfterMs)) {
    return new TowerError(code, message, { ...rest, details: { counts } });
  }
  return new TowerError(code, `${message}; ${patience.text}`, {
    next: 'Check the endpoint of `syntx.generation.baseUrl`; the next firing of the schedule tries again.',
    details: { counts },
  });
}

/** @param reason what was paid, and the limit. */
export function costLimitReached(reason: string): TowerError {
  return new TowerError('COST_LIMIT', `no prompt could be made: ${reason}`, {
    next: 'Raise syntx.generation.costLimit, or look in gpt_prompts.jsonl at what was paid for.',
  });
}
