import { setTimeout as delay } from 'node:timers/promises';

import { describeError } from '../errors.js';
import type { Log } from '../log/logger.js';
import { decideYield } from './yield-rule.js';

export interface YieldWatchOptions {
  readonly ownPriority: number;
  /** How long work of equal priority waits before it gets a turn, in milliseconds. */
  readonly turnMs: number;
  /** Waiting activities of the own GPU queue, by priority key. */
  readonly readBacklog: () => Promise<ReadonlyMap<number, number>>;
  readonly log: Log;
  /** Default 1.5 s. */
  readonly pollMs?: number;
  /** Monotonic clock in milliseconds. */
  readonly now?: () => number;
}

/**
 * Looks at the own queue while GPU work runs, and says when to make way. The work asks between two pieces; nothing is
 * interrupted. A queue that cannot be read is no reason to yield.
 */
export class YieldWatch {
  readonly #options: YieldWatchOptions;
  readonly #now: () => number;
  readonly #startedAt: number;
  readonly #stop = new AbortController();
  readonly #yielding = new AbortController();
  readonly #polling: Promise<void>;
  #equalSince: number | undefined;
  #readFails = false;
  #requested: { readonly reason: string } | undefined;

  constructor(options: YieldWatchOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#startedAt = this.#now();
    this.#polling = this.#poll();
  }

  /** Why the work should end early; stays once it is set. */
  get yieldRequested(): { readonly reason: string } | undefined {
    return this.#requested;
  }

  /** Aborts when {@link yieldRequested} is set: for waits before anything is begun. */
  get yieldSignal(): AbortSignal {
    return this.#yielding.signal;
  }

  /** Ends the polling; returns when no read is under way any more. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#polling;
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted && this.#requested === undefined) {
      await this.#look();
      await delay(this.#options.pollMs ?? 1_500, undefined, { signal }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { ownPriority, turnMs, readBacklog, log } = this.#options;
    let backlog: ReadonlyMap<number, number>;
    try {
      backlog = await readBacklog();
      this.#readFails = false;
    } catch (error) {
      if (!this.#readFails) log.warn({ error: describeError(error) }, 'the queue cannot be read; the work goes on');
      this.#readFails = true;
      return;
    }
    const now = this.#now();
    this.#equalSince = (backlog.get(ownPriority) ?? 0) > 0 ? (this.#equalSince ?? now) : undefined;
    const decision = decideYield({
      ownPriority,
      sinceStartMs: now - this.#startedAt,
      backlog,
      equalWaitingMs: this.#equalSince === undefined ? undefined : now - this.#equalSince,
      turnMs,
    });
    if (decision === 'continue') return;
    this.#requested = { reason: decision.yield };
    this.#yielding.abort(new Error(`making way: ${decision.yield}`));
  }
}
