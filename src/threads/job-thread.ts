import { join } from 'node:path';
import { Worker, type ResourceLimits } from 'node:worker_threads';

import { packageRoot } from '../files/package-root.js';
import type { ServiceOptions } from '../service-options.js';
import { restored, type ThreadAnswer, type ThreadRequest } from './thread-messages.js';

interface Pending<Result, Progress> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: ((progress: Progress) => void) | undefined;
}

export interface JobThreadOptions {
  readonly name: string;
  /** The program below `src`, without its ending. It calls `serveJobs`. */
  readonly program: string;
  readonly resourceLimits?: ResourceLimits;
}

/**
 * A thread for work that would hold up the event loop, and with it heartbeats. It starts with the first job, and does not
 * keep the process alive. What goes in and out is copied as `structuredClone` does.
 */
export class JobThread<Job, Result, Progress = never> {
  readonly #options: JobThreadOptions;
  readonly #pending = new Map<number, Pending<Result, Progress>>();
  #thread: Worker | undefined;
  #lastId = 0;

  constructor(options: JobThreadOptions) {
    this.#options = options;
  }

  /** @throws what the job throws, with its code and next step; the signal's reason after an abort */
  async run(
    job: Job,
    { signal, onProgress }: Pick<ServiceOptions<Progress>, 'signal' | 'onProgress'>,
  ): Promise<Result> {
    signal.throwIfAborted();
    const thread = (this.#thread ??= this.#start());
    const id = (this.#lastId += 1);
    const send = (request: ThreadRequest<Job>) => thread.postMessage(request);
    const abort = () => send({ id, abort: true });
    signal.addEventListener('abort', abort, { once: true });
    // A job under way keeps the process alive, an idle thread does not.
    thread.ref();
    try {
      return await new Promise<Result>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject, onProgress });
        send({ id, job });
      });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#pending.delete(id);
      if (this.#pending.size === 0) thread.unref();
    }
  }

  #start(): Worker {
    const { name, program, resourceLimits } = this.#options;
    // The built program, also when this file runs from its source.
    const thread = new Worker(join(packageRoot, 'dist', `${program}.js`), {
      name,
      ...(resourceLimits && { resourceLimits }),
    });
    thread.on('message', (answer: ThreadAnswer<Result, Progress>) => this.#settle(answer));
    const end = (error: Error) => {
      if (this.#thread === thread) this.#thread = undefined;
      for (const { reject } of this.#pending.values()) reject(error);
    };
    thread.on('error', end);
    thread.on('exit', (code) => end(new Error(`the ${name} thread ended with code ${code}`)));
    return thread;
  }

  #settle(answer: ThreadAnswer<Result, Progress>): void {
    const pending = this.#pending.get(answer.id);
    if (answer.kind === 'progress') pending?.onProgress?.(answer.progress);
    else if (answer.kind === 'result') pending?.resolve(answer.result);
    else pending?.reject(restored(answer.fault));
  }
}
