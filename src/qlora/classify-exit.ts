import type { FaultClass } from '../training/fault-class.js';
import type { TrainerExit } from '../training/trainer-driver.js';
import type { TrainerEvent } from '../training/trainer-events.js';

/** Exit codes of `trainers/qlora` and of its simulated twin; `trainers/qlora/events.py` has the same table. */
export const qloraExitCodes = {
  done: 0,
  internal: 1,
  stopped: 10,
  'bad-config': 20,
  'bad-dataset': 21,
  'missing-model': 22,
  'out-of-memory': 23,
  'disk-full': 24,
  diverged: 25,
} as const satisfies Record<'done' | 'stopped' | Exclude<FaultClass, 'killed' | 'stalled'>, number>;

/** Signals that somebody else sends; the others (SIGSEGV, SIGABRT …) are faults of the trainer itself. */
const endingSignals = new Set(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGPIPE']);
const endingSignalCodes = new Set([128 + 9, 128 + 15, 128 + 2, 128 + 1]);

/** For ends on which the trainer could not say anything itself, for example an error inside a CUDA library. */
const tailPatterns: readonly (readonly [RegExp, FaultClass])[] = [
  [/out of memory|OutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED|MemoryError/i, 'out-of-memory'],
  [/no space left on device|disk quota exceeded/i, 'disk-full'],
];

/**
 * The class of a launch that ended without a valid artefact: the trainer's own last `error` event, else its exit code, else
 * the end of its output, else the signal.
 */
export function classifyExit(exit: TrainerExit, events: readonly TrainerEvent[], outputTail: string): FaultClass {
  const error = events.findLast((event) => event.event === 'error');
  if (error !== undefined) return error.class;
  const byCode = Object.entries(qloraExitCodes).find(([, code]) => code === exit.code)?.[0];
  if (byCode !== undefined && byCode !== 'done' && byCode !== 'stopped' && byCode !== 'internal') {
    return byCode as FaultClass;
  }
  const byTail = tailPatterns.find(([pattern]) => pattern.test(outputTail))?.[1];
  if (byTail !== undefined) return byTail;
  if (exit.signal !== undefined) return endingSignals.has(exit.signal) ? 'killed' : 'internal';
  // No code at all: the launcher died with its trainer, as in a power cut.
  if (exit.code === undefined || exit.code === qloraExitCodes.stopped || endingSignalCodes.has(exit.code)) {
    return 'killed';
  }
  return 'internal';
}
