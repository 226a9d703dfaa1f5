import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';

export interface CallWait extends Pick<ServiceOptions, 'signal'> {
  /** Told once, when a turn has to be waited for: the error that the wait would end with if time were over. */
  readonly onWait?: ((waitsFor: TowerError) => void) | undefined;
}

/**
 * Lets so many calls of one wrapper service be under way at a time, whichever runs they are of: the service itself has no limit, and
 * runs of several wrappers may meet (contract syntx 7, no. 13). The others wait, in the order in which they came.
 */
export class CallTurns {
  readonly #most: number;
  readonly #limitMs: number;
  readonly #waiting: (() => void)[] = [];
  #underWay = 0;

  /** @param limitMs - Longest wait for a turn, in milliseconds. */
  constructor(most: number, { limitMs }: { readonly limitMs: number }) {
    this.#most = most;
    this.#limitMs = limitMs;
  }

  /** @throws TowerError `SERVICE_BUSY` (retryable) when no turn came within the limit; the reason of `signal`; what `work` throws. */
  async run<Result>(work: () => Promise<Result>, { signal, onWait }: CallWait): Promise<Result> {
    signal.throwIfAborted();
    if (this.#underWay < this.#most) {
      this.#underWay += 1;
    } else {
      onWait?.(this.#busy());
      await this.#turn(signal);
    }
    try {
      return await work();
    } finally {
      // A turn is handed on without being free in between: nobody who comes now is before those who wait.
      const next = this.#waiting.shift();
      if (next === undefined) this.#underWay -= 1;
      else next();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.timeout(this.#limitMs);
    const ended = AbortSignal.any([signal, limit]);
    return new Promise((resolve, reject) => {
      const begin = () => {
        ended.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(begin), 1);
        reject(signal.aborted ? (signal.reason as Error) : this.#busy());
      };
      ended.addEventListener('abort', giveUp, { once: true });
      this.#waiting.push(begin);
    });
  }

  #busy(): TowerError {
    const calls = this.#most === 1 ? '1 call is' : `${this.#most} calls are`;
    return new TowerError('SERVICE_BUSY', `${calls} under way at the wrapper service, and no more are allowed`, {
      ...{ retryable: true, retryAfterMs: 1_000 },
      next: 'Wait for one to end, or raise `syntx.consume.parallel`.',
    });
  }
}
