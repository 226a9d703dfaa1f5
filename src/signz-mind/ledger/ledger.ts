import { existsSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

import { TowerError } from '../../errors.js';
import type { LedgerAccess } from './access.js';
import { BatchTable } from './batches.js';
import { ChampionTable } from './champion.js';
import { CycleTable } from './cycles.js';
import { SqliteDatabase } from './database.js';
import { DeliveryTable } from './deliveries.js';
import { RunTable } from './runs.js';
import { currentSchemaVersion, migrate, schemaVersion } from './schema.js';
import { WriteQueue } from './write-queue.js';

/**
 * The ledger of the daily cycle: which batch, row, training run and delivery has reached what, so that no row is lost or trained twice.
 * SQLite with WAL and `synchronous=FULL`: what a method has promised survives a power cut.
 *
 * Written by one process per host; {@link Ledger.openReadOnly} is for everyone else.
 */
export class Ledger implements LedgerAccess {
  readonly path: string;
  readonly reader: SqliteDatabase;
  readonly batches: BatchTable;
  readonly runs: RunTable;
  readonly deliveries: DeliveryTable;
  readonly cycles: CycleTable;
  readonly champions: ChampionTable;
  readonly #writer: SqliteDatabase | undefined;
  readonly #queue: WriteQueue;

  private constructor(path: string, writer: SqliteDatabase | undefined) {
    this.path = path;
    this.#writer = writer;
    this.#queue = WriteQueue.of(path);
    this.reader = openConnection(path);
    this.reader.exec('PRAGMA query_only = ON');
    this.batches = new BatchTable(this);
    this.runs = new RunTable(this);
    this.deliveries = new DeliveryTable(this);
    this.cycles = new CycleTable(this);
    this.champions = new ChampionTable(this);
  }

  /** Opens or makes the ledger and brings its schema up to date. Missing directories are made. */
  static open(path: string): Ledger {
    mkdirSync(dirname(path), { recursive: true });
    const writer = openWriter(path);
    migrate(writer);
    return new Ledger(path, writer);
  }

  /**
   * Opens an existing ledger for reading, also while a worker writes it.
   *
   * @throws TowerError `LEDGER_MISSING` when there is none, `LEDGER_OUTDATED` when its schema is not this Tower's.
   */
  static openReadOnly(path: string): Ledger {
    if (!existsSync(path)) {
      throw new TowerError('LEDGER_MISSING', `There is no ledger at ${path}`, {
        next: 'Run a daily cycle first, or name the state directory it ran in.',
      });
    }
    const ledger = new Ledger(path, undefined);
    const version = schemaVersion(ledger.reader);
    if (version < currentSchemaVersion) {
      ledger.close();
      throw new TowerError(
        'LEDGER_OUTDATED',
        `${path} has schema version ${version}, expected ${currentSchemaVersion}`,
        {
          next: 'Start a worker once: it brings the ledger up to date.',
        },
      );
    }
    return ledger;
  }

  async write<Result>(work: (database: SqliteDatabase) => Result | Promise<Result>): Promise<Result> {
    const writer = this.#writer;
    if (writer === undefined) throw openedForReading();
    return this.#queue.run(() => inTransaction(writer, work));
  }

  /**
   * Lets somebody else write, by a connection of their own to the same file (see {@link withLedgerWriter}): until `work`
   * ends, this process writes nothing itself.
   *
   * @throws TowerError `LEDGER_READ_ONLY`
   */
  async lendWriting<Result>(work: (path: string) => Promise<Result>): Promise<Result> {
    if (this.#writer === undefined) throw openedForReading();
    return this.#queue.run(() => work(this.path));
  }

  /** A connection of its own that sees one unchanging state of the ledger until it is closed. */
  openSnapshot(): SqliteDatabase {
    return openSnapshot(this.path);
  }

  close(): void {
    this.reader.close();
    this.#writer?.close();
  }
}

/** {@link Ledger.openSnapshot} for a thread that has only the path. */
export function openSnapshot(path: string): SqliteDatabase {
  const snapshot = openConnection(path);
  snapshot.exec('PRAGMA query_only = ON');
  snapshot.exec('BEGIN');
  // The first read fixes the state.
  schemaVersion(snapshot);
  return snapshot;
}

/**
 * One transaction on the ledger at `path` by a connection of its own, for a thread to which the process that owns the
 * ledger has lent its writing. The schema is the owner's.
 */
export async function withLedgerWriter<Result>(
  path: string,
  work: (database: SqliteDatabase) => Result | Promise<Result>,
): Promise<Result> {
  const writer = openWriter(path);
  try {
    return await inTransaction(writer, work);
  } finally {
    writer.close();
  }
}

async function inTransaction<Result>(
  writer: SqliteDatabase,
  work: (database: SqliteDatabase) => Result | Promise<Result>,
): Promise<Result> {
  writer.exec('BEGIN IMMEDIATE');
  try {
    const result = await work(writer);
    writer.exec('COMMIT');
    return result;
  } catch (error) {
    // SQLite itself has rolled back after some failed commits, for example on a full disk.
    if (writer.inTransaction) writer.exec('ROLLBACK');
    throw error;
  }
}

function openedForReading(): TowerError {
  return new TowerError('LEDGER_READ_ONLY', 'This ledger was opened for reading', {
    next: 'Writes go through workflows.',
  });
}

function openWriter(path: string): SqliteDatabase {
  const writer = openConnection(path);
  writer.exec('PRAGMA journal_mode = WAL');
  writer.exec('PRAGMA synchronous = FULL');
  // What a large import has made of the write-ahead log is given back.
  writer.get('PRAGMA journal_size_limit = 67108864');
  return writer;
}

function openConnection(path: string): SqliteDatabase {
  const connection = new SqliteDatabase(path);
  connection.get('PRAGMA busy_timeout = 2000');
  connection.exec('PRAGMA foreign_keys = ON');
  return connection;
}
