import { setImmediate } from 'node:timers/promises';

/** So long in ms may work keep the event loop to itself; heartbeats, timers and requests wait no longer. */
const sliceMs = 20;

/**
 * Cuts long work into slices: `if (slices.isOver) await slices.next()` once a round lets everything else that waits have
 * its turn.
 */
export class WorkSlices {
  readonly #signal: AbortSignal | undefined;
  #start = performance.now();

  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  get isOver(): boolean {
    return performance.now() - this.#start > sliceMs;
  }

  /** @throws the signal's reason after an abort */
  async next(): Promise<void> {
    await setImmediate();
    this.#signal?.throwIfAborted();
    this.#start = performance.now();
  }
}
