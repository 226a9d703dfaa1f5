import { setTimeout as delay } from 'node:timers/promises';

import { deliverOutput, imagesOf, type DeliveredFile, type Delivery, type OutputFault } from './deliver.js';
import { lookUp } from './look-up.js';
import { endOf, type ExecutionError, type PromptEnd } from './outcome.js';
import { firstOutputOf, graphOfAttempt, hasPrefix } from './output-prefix.js';
import { promptIdOf } from './prompt-id.js';
import type { PromptOutcome } from './prompt-watch.js';
import type { RenderContext } from './render-context.js';
import * as errors from './render-errors.js';
import { submitPrompt } from './submit-prompt.js';
import { TrackedPrompt } from './tracked-prompt.js';
import type { RecoveryKind, RenderedImage, RenderImage } from './types.js';
import { clearPrompts, interruptOwn, withdrawPending } from './withdraw.js';

const obeyPollMs = 500;

type Succeeded = Extract<PromptEnd, { kind: 'succeeded' }>;
type Begun = Exclude<PromptOutcome, { kind: 'not-started' }>;

/**
 * Renders one image to its target. What ended badly is rendered again, within limits, each time with a look at what ComfyUI
 * has before anything is submitted twice.
 *
 * @returns `undefined` when the batch was stopped before the image began.
 * @throws TowerError of render-errors.ts, or of the connection.
 */
export async function renderImage(
  image: RenderImage,
  context: RenderContext,
  { isRepeat = false } = {},
): Promise<RenderedImage | undefined> {
  return new ImageRendering(image, context, isRepeat).run();
}

/** What an earlier process has had rendered and could not take any more, where ComfyUI itself does not know of it. */
export async function findEarlierOutput(
  image: RenderImage,
  context: RenderContext,
): Promise<RenderedImage | undefined> {
  return new ImageRendering(image, context, false).findEarlier();
}

class ImageRendering {
  readonly #image: RenderImage;
  readonly #context: RenderContext;
  /** Part of the prompt id. */
  #attempt = 1;
  /** Attempts of this batch that ended badly. */
  #badEnds = 0;
  #losses = 0;
  #failure: ExecutionError | undefined;
  /** It comes before images that have not been tried: a fault of the graph shows after few of them. */
  #isRepeat: boolean;
  #leave: (() => void) | undefined;

  constructor(image: RenderImage, context: RenderContext, isRepeat: boolean) {
    this.#image = image;
    this.#context = context;
    this.#isRepeat = isRepeat;
  }

  async run(): Promise<RenderedImage | undefined> {
    const rendered = await this.#untilRendered();
    // Not after an error: that ends the batch, and nobody is to go next.
    this.#leavePlace();
    return rendered;
  }

  async findEarlier(): Promise<RenderedImage | undefined> {
    const prompt = this.#prompt();
    return this.#context.known.has(prompt.promptId) ? undefined : this.#findOutput(prompt);
  }

  #prompt(): TrackedPrompt {
    const { key } = this.#image;
    const graph = graphOfAttempt(this.#image.graph, this.#attempt);
    return new TrackedPrompt({ promptId: promptIdOf(this.#context.runKey, key, this.#attempt, graph), key, graph });
  }

  async #untilRendered(): Promise<RenderedImage | undefined> {
    for (;;) {
      const prompt = this.#prompt();
      const outcome = await this.#inQueue(prompt);
      if (outcome.kind === 'withdrawn') return undefined;
      // Whoever has to go again keeps the place.
      if (outcome.kind === 'succeeded') this.#leavePlace();
      const rendered =
        outcome.kind === 'succeeded' ? await this.#deliver(prompt, outcome) : await this.#recover(prompt, outcome);
      if (rendered !== undefined) return rendered;
      this.#isRepeat = true;
    }
  }

  /** From a free place in ComfyUI's queue until the prompt has left it. After an error the prompt stays tracked, and is cleared. */
  async #inQueue(prompt: TrackedPrompt): Promise<Begun> {
    const { places, signal, watch, client, known, isStopped, onRecovery } = this.#context;
    this.#leave ??= await places.acquire(signal, { first: this.#isRepeat });
    if (isStopped()) return { kind: 'withdrawn' };
    if (known.delete(prompt.promptId)) {
      watch.track(prompt);
      prompt.adopt();
      onRecovery('adopted', prompt, 'it was in ComfyUI before');
    } else {
      const answer = await this.#submit(prompt);
      if (answer !== undefined) {
        watch.release(prompt);
        return { kind: 'gone', why: 'not-taken', answer };
      }
    }
    // The stop may have come while it was being submitted.
    if (isStopped()) await withdrawPending(client, [prompt], signal);
    let outcome = await watch.outcomeOf(prompt);
    if (outcome.kind === 'too-long') outcome = await this.#endOverdue(prompt);
    if (outcome.kind === 'not-started') throw await this.#notStarted(prompt);
    watch.release(prompt);
    return outcome;
  }

  #leavePlace(): void {
    this.#leave?.();
    this.#leave = undefined;
  }

  /** @returns why ComfyUI does not have it */
  async #submit(prompt: TrackedPrompt): Promise<string | undefined> {
    const { submitting, signal, watch } = this.#context;
    const done = await submitting.acquire(signal);
    try {
      await watch.ready();
      watch.track(prompt);
      return await submitPrompt(prompt, this.#context);
    } finally {
      done();
    }
  }

  async #deliver(prompt: TrackedPrompt, end: Succeeded): Promise<RenderedImage | undefined> {
    const [file] = imagesOf(end.outputs);
    if (file === undefined) throw errors.renderOutputBad(prompt, 'the graph put out no image');
    const confirm = async () => {
      if (end.confirmed) return true;
      const { client, patience, signal } = this.#context;
      const found = await patience.with(() => lookUp(client, prompt.promptId, signal));
      const told = found.state === 'finished' ? endOf(found.prompt, prompt.nodeCount) : undefined;
      return told?.kind === 'succeeded' && imagesOf(told.outputs).some(({ filename }) => filename === file.filename);
    };
    const delivered = await this.#download(prompt, { file, confirm });
    if (!('fault' in delivered)) return this.#rendered(prompt, delivered, end);
    const { fault, detail } = delivered;
    this.#again(fault, prompt, { detail, error: () => errors.renderOutputBad(prompt, detail) });
    // Without a prefix to change, only an empty cache makes the save node run again.
    if (!hasPrefix(prompt.graph)) await this.#free();
    return undefined;
  }

  /** What follows when the prompt did not succeed: an error, another rendering, or an image that is there all the same. */
  async #recover(
    prompt: TrackedPrompt,
    outcome: Exclude<Begun, Succeeded | { kind: 'withdrawn' }>,
  ): Promise<RenderedImage | undefined> {
    const { limits } = this.#context;
    switch (outcome.kind) {
      case 'gone': {
        const found = await this.#findOutput(prompt);
        if (found === undefined) this.#lost(prompt, outcome);
        return found;
      }
      case 'interrupted': {
        const error = () => errors.renderInterrupted(prompt, this.#badEnds);
        this.#again('interrupted', prompt, { detail: `somebody interrupted it in ${outcome.nodeType}`, error });
        return undefined;
      }
      case 'too-long': {
        const error = () => errors.renderTooLong(prompt, limits.runMs);
        this.#again('timed-out', prompt, { detail: `it ran for more than ${limits.runMs / 1000} s`, error });
        return undefined;
      }
      case 'failed': {
        this.#failed(prompt, outcome.error);
        if (outcome.error.outOfMemory) await this.#free();
        return undefined;
      }
    }
  }

  /** One fault may be chance; the same twice is not. */
  #failed(prompt: TrackedPrompt, failure: ExecutionError): void {
    const error = () =>
      failure.outOfMemory ? errors.renderOutOfMemory(prompt, failure) : errors.renderFailed(prompt, failure);
    const isSame = this.#failure?.nodeId === failure.nodeId && this.#failure.exception === failure.exception;
    if (isSame) throw error();
    if (!this.#isOld(prompt)) this.#failure = failure;
    const detail = `${failure.nodeType}: ${failure.exception}: ${failure.message}`;
    this.#again(failure.outOfMemory ? 'out-of-memory' : 'failed', prompt, { detail, error });
  }

  #again(kind: RecoveryKind, prompt: TrackedPrompt, { detail, error }: { detail: string; error: () => Error }): void {
    if (!this.#isOld(prompt)) {
      this.#badEnds += 1;
      if (this.#badEnds >= this.#context.limits.attempts) throw error();
    }
    this.#context.onRecovery(kind, prompt, detail);
    this.#attempt += 1;
  }

  /** It ended in an earlier batch, which has counted that: the cause may be gone. */
  #isOld({ promptId }: TrackedPrompt): boolean {
    return this.#context.ended.has(promptId);
  }

  /** It was not rendered, so it keeps its id. */
  #lost(prompt: TrackedPrompt, outcome: Extract<PromptOutcome, { kind: 'gone' }>): void {
    const reason = reasonOfLoss(outcome);
    this.#losses += 1;
    if (this.#losses >= this.#context.limits.losses) throw errors.renderLost(prompt, this.#losses, reason);
    // That it was not taken is on record already.
    if (outcome.why === 'not-taken') return;
    this.#context.onRecovery(outcome.why === 'restarted' ? 'lost' : 'deleted', prompt, `${reason}; submitted again`);
  }

  /** ComfyUI forgets its history when it ends, but not its output folder. */
  async #findOutput(prompt: TrackedPrompt): Promise<RenderedImage | undefined> {
    const file = firstOutputOf(prompt.graph);
    if (file === undefined) return undefined;
    const found = await this.#download(prompt, { file, isGuess: true, confirm: () => Promise.resolve(false) });
    if ('fault' in found) return undefined;
    this.#context.onRecovery('found-output', prompt, `its image ${file.filename} lay in the output folder`);
    return this.#rendered(prompt, found, { cached: false, renderMs: undefined });
  }

  async #free(): Promise<void> {
    const { client, patience, signal } = this.#context;
    await patience.with(() => client.free({}, { signal }));
  }

  #download(
    { promptId, graph }: TrackedPrompt,
    what: Pick<Delivery, 'file' | 'confirm' | 'isGuess'>,
  ): Promise<DeliveredFile | OutputFault> {
    return deliverOutput({ promptId, graph, target: this.#image.target, ...what }, this.#context);
  }

  #rendered(
    { promptId }: TrackedPrompt,
    file: DeliveredFile,
    { cached, renderMs }: Pick<Succeeded, 'cached' | 'renderMs'>,
  ): RenderedImage {
    return { image: this.#image, promptId, attempt: this.#attempt, ...file, cached, renderMs };
  }

  /** Interrupts a prompt that runs for too long, and waits for how it ends. */
  async #endOverdue(prompt: TrackedPrompt): Promise<PromptEnd | { kind: 'too-long' }> {
    const { client, server, signal, patience, limits, watch } = this.#context;
    await patience.with(() => interruptOwn(client, prompt.promptId, { server, signal }));
    const deadline = performance.now() + limits.obeyMs;
    while (performance.now() < deadline) {
      const found = await patience.with(() => lookUp(client, prompt.promptId, signal));
      if (found.state === 'unknown') return { kind: 'too-long' };
      if (found.state === 'finished') {
        const end = endOf(found.prompt, prompt.nodeCount);
        return end.kind === 'interrupted' ? { kind: 'too-long' } : end;
      }
      await delay(obeyPollMs, undefined, { signal });
    }
    watch.release(prompt);
    throw errors.comfyuiWedged(
      prompt,
      `it runs for more than ${limits.runMs / 1000} s, and an interrupt does not end it`,
    );
  }

  /** Takes a prompt back that has waited for too long. With nobody else's work in the queue, ComfyUI itself stands still. */
  async #notStarted(prompt: TrackedPrompt): Promise<Error> {
    const { client, server, log, signal, limits, watch, patience } = this.#context;
    const { running, pending } = await patience.with(() => client.queue({ signal }));
    const own = new Set(watch.prompts.map(({ promptId }) => promptId));
    const others = [...running, ...pending].map(({ promptId }) => promptId).filter((id) => !own.has(id));
    await clearPrompts(client, [prompt.promptId], { server, log });
    watch.release(prompt);
    if (others.length > 0) return errors.renderNotStarted(prompt, limits.startMs, others);
    return errors.comfyuiWedged(prompt, `it has waited ${limits.startMs / 1000} s, and nothing runs`);
  }
}

function reasonOfLoss(outcome: Extract<PromptOutcome, { kind: 'gone' }>): string {
  switch (outcome.why) {
    case 'restarted':
      return 'ComfyUI was restarted';
    case 'deleted':
      return "somebody took it out of ComfyUI's queue";
    case 'not-taken':
      return `ComfyUI did not take it: ${outcome.answer}`;
  }
}
