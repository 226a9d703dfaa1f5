import type { SqliteDatabase } from './database.js';

/** What the tables share: committed state for reading, and one way to write. */
export interface LedgerAccess {
  /** Sees committed state only, also while a long import is being written. */
  readonly reader: SqliteDatabase;
  /**
   * One transaction (`BEGIN IMMEDIATE`): committed when `work` ends, rolled back when it throws. Writes of one process
   * wait for each other without blocking the event loop; `work` must not call `write` itself.
   *
   * @throws TowerError `LEDGER_BUSY` (retryable) while another process writes, `DISK_FULL` (retryable), `LEDGER_READ_ONLY`.
   */
  write<Result>(work: (database: SqliteDatabase) => Result | Promise<Result>): Promise<Result>;
}
