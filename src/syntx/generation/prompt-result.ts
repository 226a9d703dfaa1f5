import type { PlannedPrompt } from '../learning/draw.js';
import type { ChatFailure } from './chat-error.js';
import type { GptCost } from './gpt-cost.js';
import type { GptQuality } from './gpt-quality.js';

/** What all results of one prompt have in common, made or not. */
interface Tried {
  /** Number of the prompt in its run, from 0. */
  readonly index: number;
  readonly planned: PlannedPrompt;
  /** Without the lead-in of the style. */
  readonly promptSent: string;
  /** The model that was asked. */
  readonly model: string;
  /** All calls and pauses. */
  readonly durationMs: number;
  /** Calls that were repeated for a rate limit or a connection. */
  readonly retries: number;
  /** Calls that the model refused. */
  readonly refusals: number;
  /** Everything that was paid for it, in USD. */
  readonly paid: number;
}

/** A prompt that was made. */
export interface MadePrompt extends Tried {
  readonly text: string;
  readonly quality: GptQuality;
  /** Of the call that made it. */
  readonly cost: GptCost;
  /** The model that answered, as the endpoint calls it. */
  readonly servedBy: string;
  /** The endpoint says that it is simulated. */
  readonly simulated: boolean;
}

export type PromptFailure = ChatFailure | 'refused' | 'similar' | 'empty' | 'long' | 'input';

/** A prompt that could not be made. */
export interface FailedPrompt extends Tried {
  readonly failure: PromptFailure;
  /** As the original words it (contract syntx 2.5). */
  readonly error: string;
}

/** One call, for the logs of the original (contract syntx 6.1, 6.2). */
export interface CallRecord {
  /** Names this call: begins with the answer's id where there is one. */
  readonly key: string;
  /** A line of `gpt_prompts.jsonl` but for its timestamp. */
  readonly line: Readonly<Record<string, unknown>>;
  /** For `costs.jsonl`; `null` when nothing was paid or the model has no price. */
  readonly cost: Required<GptCost> | null;
  /** The endpoint says that it is simulated: nobody is charged for it. */
  readonly simulated: boolean;
}

/** The keys of the generation in the queue's metadata (contract syntx 1.3). */
export function promptMetadata({ quality, cost, model, durationMs }: MadePrompt): Readonly<Record<string, unknown>> {
  return { gpt_quality: quality, gpt_cost: cost, model, duration_ms: durationMs };
}

/** The result object of the original (contract syntx 2.5) for a prompt that was made. */
export function successLine(prompt: MadePrompt, sent: string): Readonly<Record<string, unknown>> {
  return {
    ...{ success: true, prompt_sent: prompt.promptSent, prompt_generated: prompt.text, error: null },
    ...{ model: prompt.model, duration_ms: prompt.durationMs, retries: prompt.retries },
    ...{ refusal_attempts: prompt.refusals, quality_score: prompt.quality, cost: prompt.cost },
    ...{ style: prompt.planned.style, category: prompt.planned.category },
    ...{ prompt_in: sent, prompt_out: prompt.text, retry_count: prompt.retries },
  };
}

/** The same for one that failed: it has neither what was sent nor what came. */
export function failureLine(prompt: FailedPrompt): Readonly<Record<string, unknown>> {
  return {
    ...{ success: false, prompt_sent: prompt.promptSent, prompt_generated: null, error: prompt.error },
    ...{ model: prompt.model, duration_ms: prompt.durationMs, retries: prompt.retries },
    ...{ refusal_attempts: prompt.refusals, quality_score: null, cost: null },
    ...{ style: prompt.planned.style, category: prompt.planned.category },
  };
}
