import pMap from 'p-map';

import type { ServiceOptions } from '../../service-options.js';
import type { LearnedFrom, PlannedPrompt } from '../learning/draw.js';
import { ChatEndpoint } from './chat-endpoint.js';
import { EndpointPatience } from './endpoint-patience.js';
import { costLimitReached, failuresOfEndpoint, hopelessFailures, nothingMade } from './generation-errors.js';
import { generatePrompt } from './generate-prompt.js';
import type { GenerationOptions } from './options.js';
import type { CallRecord, FailedPrompt, MadePrompt } from './prompt-result.js';
import { NearDuplicates } from './similarity.js';

export interface GenerationRequest {
  /** All prompts of the run, as they were drawn. */
  readonly plan: readonly PlannedPrompt[];
  readonly learnedFrom: LearnedFrom | null;
  /** Numbers of the plan that an earlier attempt has made and kept. */
  readonly done: ReadonlySet<number>;
  /** When the first attempt of the run began to ask, in milliseconds since 1970. Default: now. */
  readonly askingSince?: number;
  /** USD that earlier attempts have paid: the limit is for the whole run. Default 0. */
  readonly spent?: number;
  /** Prompts that new ones must differ from: those of an earlier attempt, those that wait, the latest ones. */
  readonly recent: readonly { readonly name: string; readonly text: string }[];
  readonly apiKey: string | undefined;
  readonly options: GenerationOptions;
  /**
   * Keeps a prompt that was made; it counts only when this has returned. Called for several at the same time. What it throws
   * ends the run: without a place to keep them, no further call is begun.
   */
  readonly onPrompt: (prompt: MadePrompt) => Promise<void>;
  /** Logs a call; awaited. What it throws ends the run, too. */
  readonly onCall?: (call: CallRecord) => Promise<void>;
  /** For tests that do not want to wait. */
  readonly pauseFactor?: number;
}

export interface GenerationProgress {
  readonly made: number;
  readonly failed: number;
  readonly total: number;
}

export interface GenerationSummary {
  /** Numbers of the plan that were made in this call, ascending. */
  readonly made: readonly number[];
  readonly failed: readonly FailedPrompt[];
  /** Why the rest of the plan was not tried; `null` when all of it was. */
  readonly stopped: string | null;
  /** Everything that was paid, earlier attempts included, in USD. */
  readonly paid: number;
  /** The endpoint says that it is simulated. */
  readonly simulated: boolean;
}

/** So many failures of the endpoint in a row, and it is taken to be down. */
const mostFailuresInARow = 5;

/**
 * Makes the prompts of a plan, several at a time; each is kept at once, so that a crash loses none that was paid for. Nothing
 * made at all is an error; otherwise what failed is part of the result.
 *
 * @throws TowerError `LLM_KEY_MISSING`; `COST_LIMIT`; of the endpoint when not one prompt was made (see generation-errors.ts);
 *   what `onPrompt` and `onCall` throw.
 */
export async function generatePrompts(
  request: GenerationRequest,
  { signal, log, onProgress }: ServiceOptions<GenerationProgress>,
): Promise<GenerationSummary> {
  const { plan, done, options, spent = 0, askingSince = Date.now() } = request;
  const hasEarlier = done.size > 0;
  // What an earlier attempt has made came of completions since then.
  const patience = new EndpointPatience(hasEarlier ? Date.now() : askingSince);
  const run = new GenerationRun(options, { spent, hasEarlier, patience });
  const known = new NearDuplicates(options.similarityLimit);
  for (const { name, text } of request.recent) known.add(name, text);
  const tools = {
    ...{ options, known, patience, pauseFactor: request.pauseFactor },
    endpoint: new ChatEndpoint(options, request.apiKey),
    context: { learnedFrom: request.learnedFrom, feedbackStrength: options.feedbackStrength },
    onPrompt: request.onPrompt,
    onCall: request.onCall ?? (() => Promise.resolve()),
  };
  const ended = AbortSignal.any([signal, run.broken]);
  const report = () =>
    onProgress?.({ made: done.size + run.made.length, failed: run.failed.length, total: plan.length });

  const makeOne = async ([index, planned]: readonly [number, PlannedPrompt]): Promise<void> => {
    if (run.stopped !== null || ended.aborted) return;
    try {
      const result = await generatePrompt({ index, planned }, tools, { signal, ended });
      run.count(result);
      if ('failure' in result) log.warn({ prompt: index + 1, error: result.error }, 'a prompt could not be made');
    } catch (error) {
      // The others end with their present call, which is kept; all are awaited, so that nothing goes on after this function.
      run.break(error);
    }
    report();
  };
  report();
  await pMap(
    [...plan.entries()].filter(([index]) => !done.has(index)),
    makeOne,
    { concurrency: options.parallelism },
  );
  signal.throwIfAborted();
  run.broken.throwIfAborted();
  if (done.size + run.made.length === 0) {
    if (run.failed.length > 0) throw nothingMade(run.failed, patience);
    if (run.stopped !== null) throw costLimitReached(run.stopped);
  }
  return run.summary();
}

/** What has happened so far, and whether it makes sense to go on. */
class GenerationRun {
  readonly made: number[] = [];
  readonly failed: FailedPrompt[] = [];
  stopped: string | null = null;
  readonly #options: GenerationOptions;
  readonly #broken = new AbortController();
  readonly #hasEarlier: boolean;
  readonly #patience: EndpointPatience;
  #inARow = 0;
  #paid: number;
  #simulated = false;

  constructor(
    options: GenerationOptions,
    earlier: { readonly spent: number; readonly hasEarlier: boolean; readonly patience: EndpointPatience },
  ) {
    this.#options = options;
    this.#paid = earlier.spent;
    this.#hasEarlier = earlier.hasEarlier;
    this.#patience = earlier.patience;
    this.#keepLimit();
  }

  /** Aborted with what went wrong outside of the endpoint. */
  get broken(): AbortSignal {
    return this.#broken.signal;
  }

  break(error: unknown): void {
    this.#broken.abort(error);
  }

  count(result: MadePrompt | FailedPrompt): void {
    this.#paid += result.paid;
    if ('text' in result) {
      this.made.push(result.index);
      this.#simulated ||= result.simulated;
      this.#inARow = 0;
    } else {
      this.failed.push(result);
      this.#judge(result);
    }
    this.#keepLimit();
  }

  summary(): GenerationSummary {
    return {
      made: [...this.made].sort((a, b) => a - b),
      failed: [...this.failed].sort((a, b) => a.index - b.index),
      ...{ stopped: this.stopped, paid: this.#paid, simulated: this.#simulated },
    };
  }

  /** What a model says of one subject tells nothing about the next; what the endpoint does, or does not understand, does. */
  #judge({ failure, error }: FailedPrompt): void {
    if (hopelessFailures.has(failure)) this.stopped ??= error;
    const isOfEndpoint = failuresOfEndpoint.has(failure);
    if (isOfEndpoint && this.#patience.isOver) this.stopped ??= `${this.#patience.text}, the last call: ${error}`;
    this.#inARow = isOfEndpoint ? this.#inARow + 1 : 0;
    if (this.#inARow >= mostFailuresInARow)
      this.stopped ??= `${this.#inARow} prompts in a row failed, the last with ${error}`;
    // Four calls without a connection, and never one with: nobody is there.
    const neverAnswered = this.made.length === 0 && !this.#hasEarlier;
    if (failure === 'connection' && neverAnswered) this.stopped ??= error;
  }

  #keepLimit(): void {
    const { costLimit } = this.#options;
    if (costLimit === undefined || this.#paid < costLimit) return;
    this.stopped ??= `${this.#paid.toFixed(4)} USD were paid, the limit is ${costLimit}`;
  }
}
