import { setTimeout as delay } from 'node:timers/promises';

import { TowerError } from '../../errors.js';
import type { Log } from '../../log/logger.js';

export interface PatienceOptions {
  /** How long ComfyUI may be away at a stretch, in milliseconds. */
  readonly awayMs: number;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** What had failed has succeeded: after an absence, or after faulty answers. */
  readonly onRecovery: (kind: 'away' | 'repeated', detail: string) => void;
  /** ComfyUI is away, and is waited for; told after every try. The error is the one that it would end with if time were over. */
  readonly onAway?: (error: TowerError) => void;
  /** What earlier ones have waited of `awayMs`; kept up to date. */
  readonly absence?: Absence;
}

/** How long ComfyUI has been waited for since it last answered, in milliseconds, over several turns on a GPU. */
export interface Absence {
  waitedMs: number;
}

const firstPauseMs = 100;
const lastPauseMs = 500;
/** For answers that come, but are errors, cut, or nonsense. */
const faultTries = 5;

const awayCodes: ReadonlySet<string> = new Set(['COMFYUI_UNREACHABLE', 'COMFYUI_TIMEOUT']);
const faultCodes: ReadonlySet<string> = new Set(['COMFYUI_FAILED', 'COMFYUI_DOWNLOAD_CUT', 'COMFYUI_ANSWER_INVALID']);

/** Repeats requests that change nothing while ComfyUI is away, for a limited time. */
export class Patience {
  readonly #options: PatienceOptions;
  readonly #absence: Absence;
  #waitedBeforeMs: number;
  #away: { readonly since: number; readonly reason: string } | undefined;

  constructor(options: PatienceOptions) {
    this.#options = options;
    this.#absence = options.absence ?? { waitedMs: 0 };
    this.#waitedBeforeMs = this.#absence.waitedMs;
  }

  /** ComfyUI did not answer the last time. */
  get isAway(): boolean {
    return this.#away !== undefined;
  }

  /** @throws what `request` throws, when time or tries are used up, or when it is no passing fault. */
  async with<Result>(request: () => Promise<Result>): Promise<Result> {
    const { awayMs, signal, onRecovery } = this.#options;
    const startedAt = performance.now();
    const faults: string[] = [];
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, lastPauseMs)) {
      signal.throwIfAborted();
      const askedAt = performance.now();
      try {
        const result = await request();
        this.#back();
        if (faults[0] !== undefined) onRecovery('repeated', faults[0]);
        return result;
      } catch (error) {
        if (!(error instanceof TowerError)) throw error;
        if (awayCodes.has(error.code)) this.#left(askedAt, error);
        else if (faultCodes.has(error.code)) faults.push(error.message);
        else throw error;
        const tookMs = this.#waitedBeforeMs + performance.now() - startedAt;
        if (faults.length >= faultTries || tookMs > awayMs) {
          this.#forget();
          throw givenUp(error, tookMs);
        }
      }
      await delay(pauseMs, undefined, { signal });
    }
  }

  #left(askedAt: number, error: TowerError): void {
    const { message: reason } = error;
    if (this.#away === undefined) {
      this.#options.log.warn({ error: reason }, 'ComfyUI is away; waiting for it');
      this.#away = { since: askedAt, reason };
    }
    this.#absence.waitedMs = this.#waitedBeforeMs + performance.now() - this.#away.since;
    this.#options.onAway?.(error);
  }

  #forget(): void {
    this.#waitedBeforeMs = 0;
    this.#absence.waitedMs = 0;
  }

  #back(): void {
    this.#forget();
    if (this.#away === undefined) return;
    const { since, reason } = this.#away;
    this.#away = undefined;
    this.#options.onRecovery('away', `for ${((performance.now() - since) / 1000).toFixed(1)} s: ${reason}`);
  }
}

/** The same error, with how long it has been so. */
function givenUp(error: TowerError, tookMs: number): TowerError {
  const { code, next, retryable, retryAfterMs, details } = error;
  const message = `${error.message}; given up after ${(tookMs / 1000).toFixed(1)} s`;
  return new TowerError(code, message, { next, retryable, retryAfterMs, details, cause: error.cause });
}
