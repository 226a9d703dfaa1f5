import { DefaultLogger, type LogEntry, type Logger } from '@temporalio/worker';

import type { Log } from './logger.js';

/** While the server is away every poller warns at each try, some 10 MB an hour; one line a minute says as much. */
const repeatPeriodMs = 60_000;

/** Gives the SDK's messages (workers, workflow code, Rust core) to Tower's log, so that there is one log. */
export function sdkLogger(log: Log): Logger {
  const repeats = new Repeats();
  return new DefaultLogger('DEBUG', ({ level, message, meta }: LogEntry) => {
    const write = {
      TRACE: log.trace.bind(log),
      DEBUG: log.debug.bind(log),
      INFO: log.info.bind(log),
      WARN: log.warn.bind(log),
      ERROR: log.error.bind(log),
    }[level];
    const suppressed = level === 'WARN' && meta?.['sdkComponent'] === 'core' ? repeats.count(message) : 0;
    if (suppressed === undefined) return;
    write(
      {
        ...meta,
        ...(meta?.['error'] instanceof Error && { err: meta['error'] }),
        ...(suppressed > 0 && { suppressed }),
      },
      message,
    );
  });
}

/** Counts messages that come again and again. */
class Repeats {
  readonly #last = new Map<string, { at: number; suppressed: number }>();

  /** How many like it were left out before this one; `undefined` when this one is to be left out too. */
  count(message: string): number | undefined {
    const now = performance.now();
    // The same message with another count of tries is the same message.
    const kind = message.replace(/\d+/g, '#');
    const last = this.#last.get(kind);
    if (last !== undefined && now - last.at < repeatPeriodMs) {
      last.suppressed += 1;
      return undefined;
    }
    this.#last.set(kind, { at: now, suppressed: 0 });
    return last?.suppressed ?? 0;
  }
}
