import { pathToFileURL } from 'node:url';

import Libsql from 'libsql';

import { TowerError } from '../../errors.js';

/** Values that may be bound. libsql aborts the whole process on a boolean, so none gets through the types. */
export type SqlValue = string | number | null;

/**
 * The few calls Tower needs of libsql, typed: statements are prepared once, errors become {@link TowerError}s.
 * All calls are synchronous.
 */
export class SqliteDatabase {
  readonly #connection: Libsql.Database;
  readonly #statements = new Map<string, Libsql.Statement<[readonly SqlValue[]]>>();

  constructor(path: string) {
    this.#connection = translated(() => new Libsql(path));
  }

  /** Opens a file that is not Tower's: nothing can be written to it, not even by SQLite itself. */
  static openForeign(path: string): SqliteDatabase {
    return new SqliteDatabase(`${pathToFileURL(path).href}?mode=ro`);
  }

  /** Runs one statement without a result. Returns the number of changed rows. */
  run(sql: string, ...values: SqlValue[]): number {
    return translated(() => this.#prepared(sql).run(values).changes);
  }

  /** First row, or `undefined`. The caller names the row's type; its columns are the statement's. */
  get<Row extends object>(sql: string, ...values: SqlValue[]): Row | undefined {
    const row = translated(() => this.#prepared(sql).get(values)) as (Row & { _metadata?: unknown }) | undefined;
    // libsql adds its own timing to single rows.
    if (row !== undefined) delete row._metadata;
    return row;
  }

  all<Row extends object>(sql: string, ...values: SqlValue[]): Row[] {
    return translated(() => this.#prepared(sql).all(values)) as Row[];
  }

  /** Runs statements without values, for example a schema. */
  exec(sql: string): void {
    translated(() => this.#connection.exec(sql));
  }

  get inTransaction(): boolean {
    return this.#connection.inTransaction;
  }

  close(): void {
    this.#statements.clear();
    this.#connection.close();
  }

  #prepared(sql: string): Libsql.Statement<[readonly SqlValue[]]> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#connection.prepare<[readonly SqlValue[]]>(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function translated<Result>(call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw ledgerError(error);
  }
}

function ledgerError(error: unknown): unknown {
  const code = (error as { code?: unknown }).code;
  if (typeof code !== 'string' || !code.startsWith('SQLITE_')) return error;
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new TowerError('LEDGER_BUSY', 'The ledger is being written by another process', {
      retryable: true,
      retryAfterMs: 2000,
      cause: error,
      next: 'Run one Tower per state directory.',
    });
  }
  if (code === 'SQLITE_FULL') {
    return new TowerError('DISK_FULL', 'The disk of the ledger is full', {
      retryable: true,
      retryAfterMs: 60_000,
      cause: error,
      next: 'Free disk space; the work goes on by itself.',
    });
  }
  return new TowerError('LEDGER_FAILED', `The ledger refused a statement: ${(error as Error).message}`, {
    cause: error,
    details: { sqlite: code },
    next: 'Run `tower data check`; restore the ledger from a backup when the file is damaged.',
  });
}
