import { setTimeout as delay } from 'node:timers/promises';

import { TowerError } from '../../errors.js';
import type { Log } from '../../log/logger.js';

export interface PatienceOptions {
  /** How long ComfyUI may be away at a stretch, in milliseconds. */
  readonly awayMs: number;
  readonly signal: AbortSignal;
  readonly log: Log;
  /** It answers again, after so long. */
  readonly onBack: (awayMs: number, reason: string) => void;
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
  #away: { readonly since: number; readonly reason: string } | undefined;

  constructor(options: PatienceOptions) {
    this.#options = options;
  }

  /** @throws what `request` throws, when time or tries are used up, or when it is no passing fault. */
  async with<Result>(request: () => Promise<Result>): Promise<Result> {
    const { awayMs, signal, log } = this.#options;
    const startedAt = performance.now();
    let faults = 0;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, lastPauseMs)) {
      signal.throwIfAborted();
      try {
        const result = await request();
        this.#back();
        return result;
      } catch (error) {
        if (!(error instanceof TowerError)) throw error;
        if (faultCodes.has(error.code)) {
          faults += 1;
          if (faults >= faultTries) throw error;
        } else if (awayCodes.has(error.code)) {
          if (this.#away === undefined) log.warn({ error: error.message }, 'ComfyUI is away; waiting for it');
          this.#away ??= { since: performance.now(), reason: error.message };
          if (performance.now() - startedAt > awayMs) throw error;
        } else throw error;
      }
      await delay(pauseMs, undefined, { signal });
    }
  }

  #back(): void {
    if (this.#away === undefined) return;
    const { since, reason } = this.#away;
    this.#away = undefined;
    this.#options.onBack(performance.now() - since, reason);
  }
}
