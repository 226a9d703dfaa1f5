import type { Log } from '../../log/logger.js';
import type { ComfyuiClient } from '../client.js';
import { EventSocket } from '../event-socket.js';
import type { ComfyuiEvent } from '../events.js';
import { lookUp } from './look-up.js';
import { endOf, type PromptEnd } from './outcome.js';
import type { Patience } from './patience.js';
import type { TrackedPrompt } from './tracked-prompt.js';
import type { RecoveryKind, RenderLimits } from './types.js';

/** How a prompt left ComfyUI's queue, or why it is not waited for any longer. */
export type PromptOutcome =
  | PromptEnd
  /** ComfyUI does not know it: it has been restarted, somebody took the prompt out, or it never took it. */
  | { readonly kind: 'gone'; readonly why: 'restarted' | 'deleted' }
  | { readonly kind: 'gone'; readonly why: 'not-taken'; readonly answer: string }
  /** We took it out of the queue. */
  | { readonly kind: 'withdrawn' }
  /** Its limit passed while it waited, or while it ran. */
  | { readonly kind: 'not-started' }
  | { readonly kind: 'too-long' };

export interface PromptWatchOptions {
  readonly client: ComfyuiClient;
  readonly limits: RenderLimits;
  readonly patience: Patience;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onStep: (prompt: TrackedPrompt, step: number | undefined, steps: number | undefined) => void;
  readonly onRecovery: (kind: RecoveryKind, prompt: TrackedPrompt, detail: string) => void;
}

/** Messages cross the answers of requests; what they seem to contradict is looked at only after so long. */
const settleMs = 250;
const longestSilenceMs = 30_000;
/** Without a WebSocket prompts are polled; work does not wait for it for long. */
const openLimitMs = 1_500;

/**
 * Follows the prompts in ComfyUI's queue by the messages of its WebSocket. Messages are hints: a success that they report in
 * full is taken, everything else is looked up, also silence, a lost connection, and a queue that is shorter than it should be.
 */
export class PromptWatch {
  readonly #options: PromptWatchOptions;
  readonly #socket: EventSocket;
  readonly #prompts = new Map<string, TrackedPrompt>();
  #heardAt = performance.now();
  #lastEndAt = Number.NEGATIVE_INFINITY;
  /** Finished here, so known to this ComfyUI until it restarts. */
  #known: string | undefined;
  /** Ends in a row that the WebSocket did not tell. */
  #untold = 0;
  #awaitSocket = true;
  #queueCheck: NodeJS.Timeout | undefined;

  constructor(options: PromptWatchOptions) {
    this.#options = options;
    this.#socket = new EventSocket({
      baseUrl: options.client.baseUrl,
      log: options.log,
      onEvent: (event) => this.#receive(event),
      onDown: () => this.#wakeAll(),
    });
  }

  /** Prompts that are, or may be, in ComfyUI's queue. */
  get prompts(): readonly TrackedPrompt[] {
    return [...this.#prompts.values()];
  }

  /** Waits for the WebSocket where there is one; without it prompts are polled. */
  async ready(): Promise<void> {
    if (!this.#awaitSocket && this.#socket.clientId === undefined) return;
    await this.#socket.opened(openLimitMs);
    this.#awaitSocket = this.#socket.clientId !== undefined;
  }

  /** From before the submit to the end: a message may come before the submit's answer. */
  track(prompt: TrackedPrompt): void {
    prompt.clientId = this.#socket.clientId;
    this.#prompts.set(prompt.promptId, prompt);
  }

  release(prompt: TrackedPrompt): void {
    this.#prompts.delete(prompt.promptId);
    this.#lastEndAt = performance.now();
  }

  close(): void {
    clearTimeout(this.#queueCheck);
    this.#socket.close();
  }

  /** Waits for the end of a submitted prompt. @throws what the signal says, or when ComfyUI stays away */
  async outcomeOf(prompt: TrackedPrompt): Promise<PromptOutcome> {
    const { patience, signal, limits } = this.#options;
    for (let quietMs = limits.silenceMs; ; quietMs = Math.min(quietMs * 2, longestSilenceMs)) {
      for (let due = this.#dueIn(prompt, quietMs); due > 0; due = this.#dueIn(prompt, quietMs)) {
        await prompt.news(due, signal);
      }
      if (prompt.withdrawn) return { kind: 'withdrawn' };
      const outcome = prompt.success ?? (await patience.with(() => this.#ask(prompt)));
      if (outcome === undefined) continue;
      if (outcome.kind === 'gone' && (await this.#hasRestarted(prompt))) return { kind: 'gone', why: 'restarted' };
      if (outcome.kind === 'succeeded') this.#known = prompt.promptId;
      return outcome;
    }
  }

  /** Milliseconds until the prompt should be looked at, if no message comes before. */
  #dueIn(prompt: TrackedPrompt, quietMs: number): number {
    const now = performance.now();
    if (prompt.withdrawn || (prompt.ended && prompt.success !== undefined)) return 0;
    // Not more often, whatever the reason.
    const soonest = prompt.lookedAt + settleMs - now;
    if (prompt.ended || prompt.suspected) return soonest;
    if (prompt.concludedAt !== undefined) return Math.max(soonest, prompt.concludedAt + settleMs - now);
    if (!this.#isWatched(prompt)) return prompt.lookedAt + this.#options.limits.pollMs - now;
    const quietAt = Math.max(this.#heardAt, prompt.submittedAt, prompt.lookedAt) + quietMs;
    return Math.max(soonest, Math.min(quietAt, this.#limitOf(prompt)) - now);
  }

  /** When the prompt has waited, or run, for too long. Waiting behind an own prompt does not count. */
  #limitOf(prompt: TrackedPrompt): number {
    const { startMs, runMs } = this.#options.limits;
    if (prompt.startedAt !== undefined) return prompt.startedAt + runMs;
    const isBehindOwn = this.prompts.some((other) => other !== prompt && other.startedAt !== undefined);
    return isBehindOwn ? Number.POSITIVE_INFINITY : Math.max(prompt.submittedAt, this.#lastEndAt) + startMs;
  }

  #isWatched({ clientId }: TrackedPrompt): boolean {
    return clientId !== undefined && clientId === this.#socket.clientId && this.#untold < 2;
  }

  async #ask(prompt: TrackedPrompt): Promise<PromptOutcome | undefined> {
    const { client, signal } = this.#options;
    const found = await lookUp(client, prompt.promptId, signal);
    prompt.lookedAt = performance.now();
    prompt.suspected = false;
    switch (found.state) {
      case 'finished':
        await this.#expectTold(prompt);
        return endOf(found.prompt, prompt.nodeCount);
      case 'unknown':
        // It may have been taken out, or its end been told, while we asked.
        return prompt.withdrawn ? { kind: 'withdrawn' } : (prompt.success ?? { kind: 'gone', why: 'deleted' });
      case 'running':
        prompt.startedAt ??= prompt.lookedAt;
        return this.#limitOf(prompt) < prompt.lookedAt ? { kind: 'too-long' } : undefined;
      case 'pending':
        return this.#limitOf(prompt) < prompt.lookedAt ? { kind: 'not-started' } : undefined;
    }
  }

  /** A WebSocket that does not tell the end of its own prompt is deaf, though it is open: another one is opened. */
  async #expectTold(prompt: TrackedPrompt): Promise<void> {
    if (!this.#isWatched(prompt)) return;
    const isTold = () => prompt.ended || prompt.concludedAt !== undefined;
    if (!isTold()) await prompt.news(settleMs, this.#options.signal);
    if (isTold()) return;
    this.#untold += 1;
    this.#options.onRecovery('silent-socket', prompt, 'the WebSocket is open but did not say that the prompt ended');
    this.#socket.renew();
  }

  /** Without any connection lost since its submit it was taken out; else what this ComfyUI has finished tells. */
  async #hasRestarted({ clientId }: TrackedPrompt): Promise<boolean> {
    if (clientId !== undefined && clientId === this.#socket.clientId) return false;
    const known = this.#known;
    if (known === undefined) return true;
    const { client, patience, signal } = this.#options;
    return (await patience.with(() => client.history(known, { signal }))) === undefined;
  }

  #receive(event: ComfyuiEvent): void {
    if (event.type === 'status') {
      this.#expectQueued(event.data.status.exec_info.queue_remaining);
      return;
    }
    const prompt = this.#prompts.get(event.data.prompt_id ?? '');
    if (prompt === undefined) return;
    this.#heardAt = performance.now();
    this.#untold = 0;
    if (event.type === 'execution_start') this.#suspectOvertaken(prompt);
    if (event.type === 'execution_start' || event.type === 'progress') {
      const { value, max } = event.type === 'progress' ? event.data : {};
      this.#options.onStep(prompt, value, max);
    }
    prompt.apply(event);
  }

  /** A queue that stays shorter than the number of own prompts has lost one: the only sign of a deleted prompt. */
  #expectQueued(remaining: number): void {
    clearTimeout(this.#queueCheck);
    this.#queueCheck = setTimeout(() => {
      const waiting = this.prompts.filter((prompt) => prompt.accepted && !prompt.ended && !prompt.withdrawn);
      const unfinished = waiting.filter(({ concludedAt }) => concludedAt === undefined);
      if (unfinished.length > remaining) suspect(unfinished);
    }, settleMs);
  }

  /** ComfyUI runs prompts in the order in which it took them. */
  #suspectOvertaken(started: TrackedPrompt): void {
    suspect(
      this.prompts.filter(
        ({ accepted, startedAt, submittedAt }) =>
          accepted && startedAt === undefined && submittedAt < started.submittedAt,
      ),
    );
  }

  #wakeAll(): void {
    for (const prompt of this.prompts) prompt.wake();
  }
}

function suspect(prompts: readonly TrackedPrompt[]): void {
  for (const prompt of prompts) {
    prompt.suspected = true;
    prompt.wake();
  }
}
