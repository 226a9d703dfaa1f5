import { setMaxListeners } from 'node:events';

import { describeError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';
import { Patience } from './patience.js';
import { Permits } from './permits.js';
import { PromptWatch } from './prompt-watch.js';
import type { RenderContext } from './render-context.js';
import type { PromptName } from './render-errors.js';
import { findEarlierOutput, renderImage } from './render-image.js';
import { surveyPrompts } from './survey.js';
import type {
  RecoveryKind,
  RenderedImage,
  RenderImage,
  RenderLimits,
  RenderProgress,
  RenderRequest,
  RenderSummary,
} from './types.js';
import { clearPrompts, withdrawPending } from './withdraw.js';

const minute = 60_000;
const defaultLimits: RenderLimits = {
  startMs: 30 * minute,
  runMs: 30 * minute,
  obeyMs: 30_000,
  awayMs: 10 * minute,
  silenceMs: 5_000,
  pollMs: 500,
  attempts: 3,
  losses: 5,
};

/** One runs, one waits: the GPU never idles, and a restart or a stop costs little. */
const placesInQueue = 2;
/** Of these, at most so many are being downloaded and checked. */
const imagesInWork = placesInQueue + 3;
const stopPollMs = 250;
/** Reason of a batch that was stopped while it waited for ComfyUI: what it has left there is found by the next one. */
const leftWaiting = new Error('stopped while ComfyUI was waited for');
/** A submit under way may end after an abort, so that its prompt can be taken out again. */
const submitGraceMs = 5_000;

/**
 * Renders images by a ComfyUI, never more than two prompts in its queue, and hands each over as soon as it lies at its target:
 * complete, and proven to come from its prompt. The good case costs one submit and one download per image.
 *
 * Prompt ids follow from run, key and graph; so after a crash of this process the prompts it left are found and taken over, and what
 * they have put out is, although ComfyUI may have been restarted since (`isResumed`).
 * ComfyUI may restart, lose, repeat or garble anything in between: `onRecovery` says what was put right.
 *
 * An abort of the signal takes the waiting prompt out and interrupts the running one, if it is an own one; `shouldStop`
 * takes the waiting one out and lets the running one be delivered, unless ComfyUI is away, or has not answered yet: then
 * nobody waits for it.
 *
 * @throws the signal's reason; GraphRejectedError; a TowerError of `RENDER_FAILED`, `RENDER_OUTPUT_BAD`, `COMFYUI_TOO_OLD`,
 * `COMFYUI_REFUSED`, `COMFYUI_ANSWER_INVALID` (not retryable), `RENDER_OUT_OF_MEMORY`, `RENDER_INTERRUPTED`, `RENDER_LOST`,
 * `RENDER_NOT_STARTED`, `RENDER_TOO_LONG`, `COMFYUI_WEDGED`, `COMFYUI_UNREACHABLE`, `COMFYUI_TIMEOUT`, `COMFYUI_FAILED`, `DISK_FULL`
 * (retryable); what `images` or `onImage` throws.
 */
export async function renderImages(
  request: RenderRequest,
  options: ServiceOptions<RenderProgress>,
): Promise<RenderSummary> {
  const batch = new RenderBatch(request, options);
  const follow = () => batch.end(options.signal.reason);
  options.signal.addEventListener('abort', follow);
  try {
    options.signal.throwIfAborted();
    return await batch.run();
  } finally {
    options.signal.removeEventListener('abort', follow);
  }
}

class RenderBatch {
  readonly #request: RenderRequest;
  readonly #options: ServiceOptions<RenderProgress>;
  readonly #abort = new AbortController();
  readonly #submitAbort = new AbortController();
  readonly #working = new Set<Promise<void>>();
  readonly #recoveries: Partial<Record<RecoveryKind, number>> = {};
  #stopped: { readonly reason: string } | undefined;
  /** Once ComfyUI has answered. */
  #context: RenderContext | undefined;
  #delivered = 0;
  #rejected = 0;

  constructor(request: RenderRequest, options: ServiceOptions<RenderProgress>) {
    this.#request = request;
    this.#options = options;
    setMaxListeners(0, this.#abort.signal, this.#submitAbort.signal);
  }

  /** Ends all work with this reason; only the first one counts. */
  end(reason: unknown): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(reason);
    setTimeout(() => this.#submitAbort.abort(reason), submitGraceMs).unref();
  }

  async run(): Promise<RenderSummary> {
    const stopPoll = setInterval(() => this.#askStop(), stopPollMs);
    try {
      this.#context = await this.#open();
      await this.#runOpen(this.#context);
    } catch (error) {
      if (this.#abort.signal.reason !== leftWaiting) throw error;
    } finally {
      clearInterval(stopPoll);
    }
    return {
      delivered: this.#delivered,
      rejected: this.#rejected,
      stopped: this.#stopped ?? null,
      recoveries: this.#recoveries,
      server: this.#context?.server,
    };
  }

  async #runOpen(context: RenderContext): Promise<void> {
    const { client, watch, server, log, signal } = context;
    try {
      await this.#renderAll(context).catch((error: unknown) => this.end(error));
      while (this.#working.size > 0) await Promise.all(this.#working);
      signal.throwIfAborted();
    } finally {
      await clearPrompts(
        client,
        watch.prompts.map(({ promptId }) => promptId),
        { server, log },
      );
      watch.close();
    }
  }

  async #open(): Promise<RenderContext> {
    const { client, runKey, limits: given, absence } = this.#request;
    const { log } = this.#options;
    const { signal } = this.#abort;
    const limits = { ...defaultLimits, ...given };
    const onRecovery = (kind: RecoveryKind, prompt: Partial<PromptName>, detail: string) =>
      this.#recovered(kind, prompt, detail);
    const patience = new Patience({
      ...{ awayMs: limits.awayMs, signal, log },
      ...(absence !== undefined && { absence }),
      onAway: (waitsFor) => this.#progress({ waitsFor }),
      onRecovery: (kind, detail) => {
        onRecovery(kind, {}, detail);
        this.#progress({});
      },
    });
    const server = await patience.with(() => client.serverFacts({ signal }));
    const { known, ended, cleared } = await surveyPrompts({ client, patience, signal }, runKey);
    for (const promptId of cleared) onRecovery('cleared', { promptId }, 'left by an earlier attempt');
    const watch = new PromptWatch({
      ...{ client, limits, patience, log, signal, onRecovery },
      onStep: ({ key }, step, steps) => this.#progress({ key, step, steps }),
    });
    return {
      ...{ client, server, runKey, limits, patience, watch, log, signal, onRecovery },
      places: new Permits(placesInQueue),
      submitting: new Permits(1),
      known: new Set(known),
      ended,
      submitSignal: this.#submitAbort.signal,
      isStopped: () => this.#stopped !== undefined,
    };
  }

  async #renderAll(context: RenderContext): Promise<void> {
    const inWork = new Permits(imagesInWork);
    // What a batch has begun and not handed over comes first in the next one, and is no more than it has in work.
    let begunBefore = this.#request.isResumed === true ? imagesInWork : 0;
    for await (const image of this.#request.images) {
      const done = await inWork.acquire(context.signal);
      this.#askStop();
      if (this.#stopped !== undefined) return;
      const found = begunBefore-- > 0 ? await findEarlierOutput(image, context) : undefined;
      this.#track(this.#render(image, found, context).finally(done));
    }
  }

  async #render(first: RenderImage, found: RenderedImage | undefined, context: RenderContext): Promise<void> {
    for (let image = first; ;) {
      const isRepeat = image !== first;
      const rendered = (isRepeat ? undefined : found) ?? (await renderImage(image, context, { isRepeat }));
      if (rendered === undefined) return;
      const verdict = await this.#request.onImage(rendered);
      if (verdict === 'accepted') {
        this.#delivered += 1;
        this.#progress({});
        return;
      }
      this.#rejected += 1;
      image = verdict.again;
    }
  }

  #askStop(): void {
    const context = this.#context;
    if (this.#stopped === undefined) {
      try {
        this.#stopped = this.#request.shouldStop?.();
      } catch (error) {
        this.end(error);
      }
      if (this.#stopped !== undefined && context !== undefined) this.#track(this.#withdraw(context));
    }
    // Whoever waits for the GPU must not wait for ComfyUI too.
    if (this.#stopped !== undefined && (context?.patience.isAway ?? true)) this.end(leftWaiting);
  }

  /** The prompt that waits must not begin. When it cannot be taken out, it is rendered and delivered. */
  async #withdraw({ client, watch, signal, log }: RenderContext): Promise<void> {
    await withdrawPending(client, watch.prompts, signal).catch((error: unknown) =>
      log.warn({ error: describeError(error) }, 'a waiting prompt could not be taken out'),
    );
  }

  #track(work: Promise<void>): void {
    const settled: Promise<void> = work
      .catch((error: unknown) => this.end(error))
      .finally(() => this.#working.delete(settled));
    this.#working.add(settled);
  }

  #progress(now: Partial<RenderProgress>): void {
    const { onProgress } = this.#options;
    try {
      const nothing = { key: undefined, step: undefined, steps: undefined, waitsFor: undefined };
      onProgress?.({ delivered: this.#delivered, ...nothing, ...now });
    } catch (error) {
      this.end(error);
    }
  }

  #recovered(kind: RecoveryKind, prompt: Partial<PromptName>, detail: string): void {
    const { key, promptId } = prompt;
    this.#recoveries[kind] = (this.#recoveries[kind] ?? 0) + 1;
    this.#options.log.warn({ recovery: kind, key, promptId, detail }, 'recovered while rendering');
    this.#request.onRecovery?.({ kind, key, promptId, detail });
  }
}
