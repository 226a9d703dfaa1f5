import { parentPort } from 'node:worker_threads';

import type { ServiceOptions } from '../service-options.js';
import { carried, type ThreadAnswer, type ThreadRequest } from './thread-messages.js';

/** The other end of a {@link JobThread}: the whole of a thread's program. Jobs may run side by side. */
export function serveJobs<Job, Result, Progress = never>(
  work: (job: Job, options: Pick<ServiceOptions<Progress>, 'signal' | 'onProgress'>) => Promise<Result>,
): void {
  const port = parentPort;
  if (port === null) throw new Error('this program runs as a thread only');
  const answer = (message: ThreadAnswer<Result, Progress>) => port.postMessage(message);
  const running = new Map<number, AbortController>();

  const run = async (id: number, job: Job) => {
    const abort = new AbortController();
    running.set(id, abort);
    try {
      const onProgress = (progress: Progress) => answer({ id, kind: 'progress', progress });
      answer({ id, kind: 'result', result: await work(job, { signal: abort.signal, onProgress }) });
    } catch (error) {
      answer({ id, kind: 'fault', fault: carried(error) });
    } finally {
      running.delete(id);
    }
  };

  port.on('message', (request: ThreadRequest<Job>) => {
    if (request.job === undefined) running.get(request.id)?.abort();
    else void run(request.id, request.job);
  });
}
