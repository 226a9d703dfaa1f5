import { TowerError } from '../errors.js';

/**
 * Runs work that Ctrl-C or SIGTERM ends in order: the first aborts the signal, a second ends the process at once, as the
 * shell expects it.
 */
export async function interruptible<Result>(work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals) => {
    // Without our handler the next one has its usual effect.
    stopListening();
    controller.abort(new TowerError('CANCELLED', `stopped by ${name}`));
  };
  const stopListening = () => {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    return await work(controller.signal);
  } finally {
    stopListening();
  }
}
