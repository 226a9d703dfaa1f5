import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';

import type { PlannedPrompt } from '../learning/draw.js';
import { stripped } from '../scores/python-text.js';
import type { ChatAnswer, ChatEndpoint } from './chat-endpoint.js';
import { ChatError } from './chat-error.js';
import type { EndpointPatience } from './endpoint-patience.js';
import { gptCost, type GptCost } from './gpt-cost.js';
import { gptQuality } from './gpt-quality.js';
import type { GenerationOptions } from './options.js';
import {
  failureLine,
  successLine,
  type CallRecord,
  type FailedPrompt,
  type MadePrompt,
  type PromptFailure,
} from './prompt-result.js';
import { isRefusal } from './refusal.js';
import { requestText, sentText, type RequestContext } from './request-text.js';
import type { NearDuplicates } from './similarity.js';
import { mostRefusals, mostSimilar, refusalPauseMs, transportPausesMs } from './time-limits.js';

/** No prompt is nearly as long; what is, is a model that went on and on. */
const mostCharacters = 100_000;

export interface PromptTools {
  readonly endpoint: ChatEndpoint;
  /** Of the whole run. */
  readonly patience: EndpointPatience;
  readonly options: GenerationOptions;
  readonly context: RequestContext;
  /** Texts that the new one must differ from; what is made is added at once. */
  readonly known: NearDuplicates;
  /** Keeps a prompt that was made, before anything else happens. */
  readonly onPrompt: (prompt: MadePrompt) => Promise<void>;
  readonly onCall: (call: CallRecord) => Promise<void>;
  /** For tests that do not want to wait: milliseconds become so many. Default 1. */
  readonly pauseFactor?: number;
}

export interface PromptEnd {
  /** Aborts a call that is under way, too. */
  readonly signal: AbortSignal;
  /** No call is begun any more; one that is under way is paid for, so its answer is awaited and kept. */
  readonly ended: AbortSignal;
}

/**
 * Makes one prompt: asks again for rate limits and connections (1, 2, 4 s) while there is patience, after refusals with other
 * wording (3 times, 1 s apart), and when the text is nearly one that is there already (twice). What was made is kept at once,
 * and every call is recorded.
 *
 * @throws only the reasons of `signal` and `ended`, and errors of `onPrompt` and `onCall`.
 */
export async function generatePrompt(
  { index, planned }: { readonly index: number; readonly planned: PlannedPrompt },
  tools: PromptTools,
  end: PromptEnd,
): Promise<MadePrompt | FailedPrompt> {
  return new PromptAttempt(index, planned, tools).run(end);
}

class PromptAttempt {
  readonly #index: number;
  readonly #planned: PlannedPrompt;
  readonly #tools: PromptTools;
  readonly #promptSent: string;
  readonly #startedAt = performance.now();
  #retries = 0;
  #refusals = 0;
  #similar = 0;
  #paid = 0;

  constructor(index: number, planned: PlannedPrompt, tools: PromptTools) {
    this.#index = index;
    this.#planned = planned;
    this.#tools = tools;
    this.#promptSent = requestText(planned, tools.context);
  }

  async run(end: PromptEnd): Promise<MadePrompt | FailedPrompt> {
    if (stripped(this.#planned.topic) === '') return this.#failed('input', 'Empty input prompt');
    for (;;) {
      const sent = sentText(this.#promptSent, this.#planned.style, { refused: this.#refusals, similar: this.#similar });
      let answer: ChatAnswer;
      try {
        answer = await this.#ask(sent, end);
      } catch (error) {
        if (error instanceof ChatError) return this.#failed(error.kind, error.wording);
        throw error;
      }
      const cost = gptCost(this.#tools.options.model, answer.usage, this.#tools.options.prices);
      this.#paid += cost.total_cost;
      const text = answer.text ?? '';
      if (isRefusal(answer)) {
        this.#refusals += 1;
        await this.#recordPaid(answer, { sent, cost, error: `refused (${answer.finishReason ?? 'no reason given'})` });
        if (this.#refusals === mostRefusals) {
          return this.#failed('refused', `Content refused after ${this.#refusals} attempts`);
        }
        await this.#pause(refusalPauseMs, end.ended);
        continue;
      }
      if (stripped(text) === '') {
        await this.#recordPaid(answer, { sent, cost, error: 'the text is empty' });
        return this.#failed('empty', 'Error: the model answered with an empty text');
      }
      if (text.length > mostCharacters) {
        const error = `the text has ${text.length} characters, more than ${mostCharacters}`;
        await this.#recordPaid({ ...answer, text: null, refusal: null }, { sent, cost, error });
        return this.#failed('long', `Error: ${error}`);
      }
      const duplicate = this.#tools.known.find(text);
      if (duplicate !== undefined) {
        this.#similar += 1;
        const error = `${Math.round(duplicate.similarity * 100)} % like ${duplicate.name}`;
        await this.#recordPaid(answer, { sent, cost, error });
        if (this.#similar === mostSimilar)
          return this.#failed('similar', `Error: ${error} after ${mostSimilar} attempts`);
        continue;
      }
      return this.#made(answer, { sent, cost, text });
    }
  }

  /** One answer, however many calls it takes; the retries are those of the whole prompt. */
  async #ask(sent: string, { signal, ended }: PromptEnd): Promise<ChatAnswer> {
    const { endpoint, patience } = this.#tools;
    for (;;) {
      ended.throwIfAborted();
      try {
        const answer = await endpoint.ask(sent, signal);
        patience.renew();
        return answer;
      } catch (error) {
        const pauseMs = patience.isOver ? undefined : transportPausesMs[this.#retries];
        if (!(error instanceof ChatError) || !error.isRetried || pauseMs === undefined) throw error;
        this.#retries += 1;
        await this.#pause(pauseMs, ended);
      }
    }
  }

  async #made(
    answer: ChatAnswer,
    { sent, cost, text }: { readonly sent: string; readonly cost: GptCost; readonly text: string },
  ): Promise<MadePrompt> {
    this.#tools.known.add(`prompt ${this.#index + 1} of this run`, text);
    const made: MadePrompt = {
      ...this.#tried(),
      ...{ text, quality: gptQuality(text), cost, servedBy: answer.model },
      simulated: isSimulated(answer),
    };
    await this.#tools.onPrompt(made);
    await this.#tools.onCall({
      key: keyOf(answer),
      line: successLine(made, sent),
      cost: paidCost(cost),
      simulated: made.simulated,
    });
    return made;
  }

  async #failed(failure: PromptFailure, error: string): Promise<FailedPrompt> {
    const failed: FailedPrompt = { ...this.#tried(), failure, error };
    await this.#tools.onCall({ key: randomUUID(), line: failureLine(failed), cost: null, simulated: false });
    return failed;
  }

  /** A call that was paid for nothing: a refusal, an empty text, a near-duplicate. */
  async #recordPaid(
    answer: ChatAnswer,
    { sent, cost, error }: { readonly sent: string; readonly cost: GptCost; readonly error: string },
  ): Promise<void> {
    const { model, durationMs, retries } = this.#tried();
    const line = {
      ...{ model, prompt_in: sent, prompt_out: answer.refusal ?? answer.text, error, success: false },
      ...{ duration_ms: durationMs, retry_count: retries, refusal_attempts: this.#refusals },
      ...{ quality_score: null, cost, style: this.#planned.style, category: this.#planned.category },
    };
    await this.#tools.onCall({ key: keyOf(answer), line, cost: paidCost(cost), simulated: isSimulated(answer) });
  }

  #tried(): Omit<FailedPrompt, 'failure' | 'error'> {
    return {
      ...{ index: this.#index, planned: this.#planned, promptSent: this.#promptSent },
      ...{ model: this.#tools.options.model, durationMs: Math.round(performance.now() - this.#startedAt) },
      ...{ retries: this.#retries, refusals: this.#refusals, paid: this.#paid },
    };
  }

  async #pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    try {
      await pause(milliseconds * (this.#tools.pauseFactor ?? 1), undefined, { signal });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  }
}

/** Simulated models are named so. */
function isSimulated({ model }: ChatAnswer): boolean {
  return /simulated/i.test(model);
}

/** The endpoint's own id alone would not do: those of local servers repeat. */
function keyOf({ id }: ChatAnswer): string {
  return `${id ?? 'call'}/${randomUUID()}`;
}

function paidCost(cost: GptCost): Required<GptCost> | null {
  const { input_tokens: inputTokens, output_tokens: outputTokens, currency } = cost;
  if (inputTokens === undefined || outputTokens === undefined || currency === undefined) return null;
  return { ...cost, input_tokens: inputTokens, output_tokens: outputTokens, currency };
}
