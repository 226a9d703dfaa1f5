import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import { packageRoot } from '../../files/package-root.js';
import type { ServiceOptions } from '../../service-options.js';
import type { RowCounts } from '../ledger/import-rows.js';
import type { ImportProgress } from './load-batch.js';
import { restored, type LoaderAnswer, type LoaderRequest, type LoadJob } from './loader-messages.js';

/** The built program, also when this file runs from its source. */
const program = join(packageRoot, 'dist', 'signz-mind', 'ingest', 'loader-program.js');
/** What keeps memory constant: garbage of parsed lines is collected instead of kept. */
const resourceLimits = { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 256 };

interface Pending {
  readonly resolve: (counts: RowCounts | undefined) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: ((progress: ImportProgress) => void) | undefined;
}

/** A thread that loads batches into ledgers. It starts with the first job, and does not keep the process alive. */
export class LoaderThread {
  readonly #pending = new Map<number, Pending>();
  #thread: Worker | undefined;
  #lastId = 0;

  /** @throws what `loadBatch` throws; the signal's reason after an abort. The transaction is rolled back then. */
  async load(
    job: LoadJob,
    { signal, onProgress }: Pick<ServiceOptions<ImportProgress>, 'signal' | 'onProgress'>,
  ): Promise<RowCounts | undefined> {
    signal.throwIfAborted();
    const thread = (this.#thread ??= this.#start());
    const id = (this.#lastId += 1);
    const send = (request: LoaderRequest) => thread.postMessage(request);
    const abort = () => send({ id, abort: true });
    signal.addEventListener('abort', abort, { once: true });
    // A job under way keeps the process alive, an idle thread does not.
    thread.ref();
    try {
      return await new Promise<RowCounts | undefined>((resolve, reject) => {
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
    const thread = new Worker(program, { name: 'loader', resourceLimits });
    thread.on('message', (answer: LoaderAnswer) => this.#settle(answer));
    const end = (error: Error) => {
      if (this.#thread === thread) this.#thread = undefined;
      for (const { reject } of this.#pending.values()) reject(error);
    };
    thread.on('error', end);
    thread.on('exit', (code) => end(new Error(`the loader thread ended with code ${code}`)));
    return thread;
  }

  #settle(answer: LoaderAnswer): void {
    const pending = this.#pending.get(answer.id);
    if (answer.kind === 'progress') pending?.onProgress?.(answer.progress);
    else if (answer.kind === 'result') pending?.resolve(answer.counts);
    else pending?.reject(restored(answer.fault));
  }
}
