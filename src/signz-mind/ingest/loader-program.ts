import { parentPort } from 'node:worker_threads';

import { withLedgerWriter } from '../ledger/ledger.js';
import { loadBatch } from './load-batch.js';
import { carried, type LoaderAnswer, type LoaderRequest } from './loader-messages.js';

/** The program of the loader thread; {@link LoaderThread} is its other end. */

const port = parentPort;
if (port === null) throw new Error('this program runs as a thread only');
const answer = (message: LoaderAnswer) => port.postMessage(message);
const running = new Map<number, AbortController>();

port.on('message', (request: LoaderRequest) => {
  if (request.job === undefined) running.get(request.id)?.abort();
  else void load(request.id, request.job);
});

async function load(id: number, { ledgerPath, batch }: LoaderRequest['job'] & object): Promise<void> {
  const abort = new AbortController();
  running.set(id, abort);
  try {
    const counts = await withLedgerWriter(ledgerPath, (database) =>
      loadBatch(database, batch, {
        signal: abort.signal,
        onProgress: (progress) => answer({ id, kind: 'progress', progress }),
      }),
    );
    answer({ id, kind: 'result', counts });
  } catch (error) {
    answer({ id, kind: 'fault', fault: carried(error) });
  } finally {
    running.delete(id);
  }
}
