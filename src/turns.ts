/** Pieces of work that must not overlap within this process: each begins when the one before it has ended, however that ended. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** @param signal - Ends the wait for the turn; work that has begun comes to its end. */
  take<Result>(work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    let waiting = true;
    const turn = this.#last.then(() => {
      signal?.throwIfAborted();
      waiting = false;
      return work();
    });
    this.#last = turn.catch(() => undefined);
    if (signal === undefined) return turn;
    const givenUp = new Promise<never>((_, reject) => {
      const giveUp = () => {
        if (waiting) reject(signal.reason as Error);
      };
      if (signal.aborted) giveUp();
      else signal.addEventListener('abort', giveUp, { once: true });
    });
    return Promise.race([turn, givenUp]);
  }
}
