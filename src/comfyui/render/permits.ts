/** So many at a time; the others wait in the order in which they came, those that were there before come first. */
export class Permits {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** @returns what gives the permit back. @throws the signal's reason */
  async acquire(signal: AbortSignal, { first = false } = {}): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(signal, first);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    };
  }

  async #turn(signal: AbortSignal, first: boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const granted = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(granted), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', abort, { once: true });
      if (first) this.#waiting.unshift(granted);
      else this.#waiting.push(granted);
    });
  }
}
