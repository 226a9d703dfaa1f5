import { resolve } from 'node:path';

const queues = new Map<string, WriteQueue>();

/** Lets one asynchronous write at a time through, in the order of asking. A write inside a write would wait for itself. */
export class WriteQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** The queue of a file, shared by everything in this process that opened it. */
  static of(path: string): WriteQueue {
    const key = resolve(path);
    let queue = queues.get(key);
    if (queue === undefined) queues.set(key, (queue = new WriteQueue()));
    return queue;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}
