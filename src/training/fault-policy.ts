import { TowerError } from '../errors.js';
import type { FaultClass } from './fault-class.js';

/** What follows from a class of fault. */
export interface FaultPolicy {
  /** How often a run may be started again after faults of this class, in one generation. */
  readonly retries: number;
  readonly retryAfterMs?: number;
  /** What a person should do once the budget is used up. */
  readonly next: string;
}

/**
 * Budgets count per class and per generation (a person's resume opens a new one), never per activity attempt.
 *
 * - `killed` comes from outside (reboot, kernel out of memory, an operator) and costs one checkpoint interval at most. 20
 *   outlast three weeks of nightly reboots, and still end a run that the kernel kills at the same point each time.
 * - `disk-full` waits for a person to make room; while space is short no trainer is started at all, so its budget only
 *   counts disks that looked free and were not.
 * - `stalled` costs the whole stall limit of GPU time each, `internal` may be a bug: few.
 * - `out-of-memory` is retried once per rung of the driver's ladder, never blindly.
 * - The others give the same answer every time.
 */
const policies: Readonly<Record<FaultClass, FaultPolicy>> = {
  'out-of-memory': {
    retries: 0,
    retryAfterMs: 5_000,
    next: 'Lower the batch size, sequence length or resolution, or free the GPU of other programs, then resume.',
  },
  killed: { retries: 20, retryAfterMs: 5_000, next: 'Find out who kills it (`dmesg` names the kernel), then resume.' },
  stalled: {
    retries: 3,
    retryAfterMs: 10_000,
    next: 'Look at the last output, or raise the stall limit, then resume.',
  },
  internal: { retries: 2, retryAfterMs: 30_000, next: 'Read the traceback in the log of the launch, then resume.' },
  'disk-full': { retries: 10, retryAfterMs: 60_000, next: 'Free space on the disk of the run folder, then resume.' },
  'bad-config': { retries: 0, next: 'Correct the setting that the message names, then start the run again.' },
  'bad-dataset': { retries: 0, next: 'Correct the data that the message names, then start the run again.' },
  'missing-model': { retries: 0, next: 'Fetch the model that the message names, then resume.' },
  diverged: { retries: 0, next: 'Lower the learning rate or look at the data, then start the run again.' },
};

/** The faults of a run so far, as its launches record them. */
export interface FaultHistory {
  readonly faults: readonly { readonly class: FaultClass; readonly generation: number }[];
  readonly generation: number;
  /** Length of the driver's out-of-memory ladder. */
  readonly rungs: number;
}

/** How many starts are left after faults of a class; negative: the budget is used up. */
export function retriesLeft(faultClass: FaultClass, { faults, generation, rungs }: FaultHistory): number {
  const same = faults.filter((fault) => fault.class === faultClass);
  const now = same.filter((fault) => fault.generation === generation).length;
  if (faultClass !== 'out-of-memory') return policies[faultClass].retries - now;
  // Rungs that earlier generations have walked down stay walked down.
  return Math.max(0, rungs - (same.length - now)) - now;
}

/** The rung of the out-of-memory ladder for the next start. */
export function memoryRung({ faults, rungs }: FaultHistory): number {
  return Math.min(rungs, faults.filter((fault) => fault.class === 'out-of-memory').length);
}

/** The class whose budget forbids another start, if any. */
export function exhaustedClass(history: FaultHistory): FaultClass | undefined {
  const classes = Object.keys(policies) as FaultClass[];
  const own = new Set(history.faults.filter((fault) => fault.generation === history.generation).map((f) => f.class));
  return classes.find((faultClass) => own.has(faultClass) && retriesLeft(faultClass, history) < 0);
}

/** A trainer ended without its artefact. The code names the class: `TRAINER_OUT_OF_MEMORY`, `TRAINER_KILLED`, … */
export class TrainerFailedError extends TowerError {
  readonly faultClass: FaultClass;

  constructor(run: string, faultClass: FaultClass, reason: string, history: FaultHistory) {
    const policy = policies[faultClass];
    const left = retriesLeft(faultClass, history);
    const retryable = left >= 0;
    const next = retryable
      ? `Nothing: Tower goes on from the newest complete state (${left} more after this).`
      : policy.next;
    super(`TRAINER_${faultClass.toUpperCase().replaceAll('-', '_')}`, `Run ${run} failed: ${reason}`, {
      retryable,
      ...(retryable && policy.retryAfterMs !== undefined && { retryAfterMs: policy.retryAfterMs }),
      next,
      details: { run, class: faultClass, retriesLeft: Math.max(0, left) },
    });
    this.faultClass = faultClass;
  }
}
