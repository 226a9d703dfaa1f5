import { join } from 'node:path';

/** What lies where in the state directory: everything that has to outlive the Temporal database, which is disposable. */
export interface StatePaths {
  readonly home: string;
  readonly ledger: string;
  /** Raw batch files as downloaded. */
  readonly batches: string;
  /** One folder per training run. */
  readonly runs: string;
  /** Packaged adapters, `<version>.zip`. */
  readonly packages: string;
  readonly logs: string;
  readonly logFile: string;
  readonly gpu: string;
  /** Kernel lock of `tower up`. */
  readonly upLock: string;
  /** Kernel lock of the control worker: one process writes the ledger. */
  readonly controlLock: string;
}

export function statePaths(home: string): StatePaths {
  return {
    home,
    ledger: join(home, 'ledger.db'),
    batches: join(home, 'batches'),
    runs: join(home, 'runs'),
    packages: join(home, 'packages'),
    logs: join(home, 'logs'),
    logFile: join(home, 'logs', 'tower.log'),
    gpu: join(home, 'gpu'),
    upLock: join(home, 'up.lock'),
    controlLock: join(home, 'control.lock'),
  };
}
