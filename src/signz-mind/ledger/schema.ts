import { TowerError } from '../../errors.js';
import type { SqliteDatabase } from './database.js';

/**
 * One entry per schema version; entry n brings a ledger from `user_version` n to n + 1. Published entries never change.
 *
 * Tables with bodies are ordinary rowid tables with unique text columns: with the text as `WITHOUT ROWID` primary key
 * the same import is 12 times slower.
 */
const migrations: readonly string[] = [
  `
  CREATE TABLE cycles (
    logical_time TEXT PRIMARY KEY NOT NULL,
    outcome TEXT,
    reason TEXT,
    started_at TEXT NOT NULL,
    finished_at TEXT
  ) STRICT;

  CREATE TABLE batches (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    user_id TEXT,
    client_id TEXT,
    cycle TEXT NOT NULL,
    state TEXT NOT NULL
      CHECK (state IN ('listed', 'downloaded', 'imported', 'trained', 'delivered', 'marked', 'quarantined')),
    bytes INTEGER,
    sha256 TEXT,
    lines INTEGER NOT NULL DEFAULT 0,
    new_rows INTEGER NOT NULL DEFAULT 0,
    updated_rows INTEGER NOT NULL DEFAULT 0,
    stale_rows INTEGER NOT NULL DEFAULT 0,
    duplicate_rows INTEGER NOT NULL DEFAULT 0,
    replaced_rows INTEGER NOT NULL DEFAULT 0,
    quarantined_rows INTEGER NOT NULL DEFAULT 0,
    training_rows INTEGER,
    reason TEXT,
    settled_reason TEXT,
    failed_cycles INTEGER NOT NULL DEFAULT 0,
    last_failed_cycle TEXT,
    imported_cycle TEXT,
    listed_at TEXT NOT NULL,
    downloaded_at TEXT,
    imported_at TEXT,
    marked_at TEXT
  ) STRICT;

  CREATE TABLE snippets (
    id INTEGER PRIMARY KEY,
    batch_id INTEGER NOT NULL REFERENCES batches (id),
    line INTEGER NOT NULL,
    source TEXT NOT NULL,
    uuid TEXT NOT NULL,
    path_hash TEXT NOT NULL,
    content TEXT NOT NULL,
    quality_label TEXT NOT NULL,
    created TEXT,
    modified TEXT NOT NULL,
    UNIQUE (source, uuid)
  ) STRICT;
  CREATE INDEX snippets_by_batch ON snippets (batch_id);

  CREATE TABLE feedback (
    id INTEGER PRIMARY KEY,
    batch_id INTEGER NOT NULL REFERENCES batches (id),
    line INTEGER NOT NULL,
    source TEXT NOT NULL,
    uuid TEXT NOT NULL,
    path_hash TEXT,
    context TEXT NOT NULL,
    action_type TEXT NOT NULL,
    output TEXT NOT NULL,
    feedback_type TEXT NOT NULL,
    notes TEXT,
    created TEXT,
    modified TEXT,
    UNIQUE (source, uuid)
  ) STRICT;
  CREATE INDEX feedback_by_batch ON feedback (batch_id);

  CREATE TABLE superseded_rows (
    batch_id INTEGER NOT NULL REFERENCES batches (id),
    line INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('snippet', 'feedback')),
    uuid TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN ('stale', 'duplicate', 'replaced')),
    by_batch_id INTEGER NOT NULL REFERENCES batches (id),
    by_line INTEGER NOT NULL,
    PRIMARY KEY (batch_id, line)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE quarantined_rows (
    batch_id INTEGER NOT NULL REFERENCES batches (id),
    line INTEGER NOT NULL,
    reason TEXT NOT NULL,
    excerpt TEXT NOT NULL,
    UNIQUE (batch_id, line)
  ) STRICT;

  CREATE TABLE training_runs (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL UNIQUE,
    version TEXT NOT NULL UNIQUE,
    cycle TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    training_set_sha256 TEXT NOT NULL,
    state TEXT NOT NULL
      CHECK (state IN ('planned', 'training', 'trained', 'rejected', 'promoted', 'failed')),
    train_samples INTEGER NOT NULL,
    held_out_samples INTEGER NOT NULL,
    simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    champion INTEGER NOT NULL DEFAULT 0 CHECK (champion IN (0, 1)),
    metrics TEXT NOT NULL DEFAULT '{}',
    reason TEXT,
    planned_at TEXT NOT NULL,
    finished_at TEXT
  ) STRICT;
  CREATE UNIQUE INDEX one_champion ON training_runs (champion) WHERE champion = 1;
  CREATE INDEX runs_by_fingerprint ON training_runs (fingerprint);

  CREATE TABLE run_batches (
    run_id INTEGER NOT NULL REFERENCES training_runs (id),
    batch_id INTEGER NOT NULL REFERENCES batches (id),
    rows INTEGER NOT NULL,
    PRIMARY KEY (run_id, batch_id)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    version TEXT NOT NULL UNIQUE REFERENCES training_runs (version),
    state TEXT NOT NULL CHECK (state IN ('packaged', 'uploaded', 'marked', 'superseded')),
    package_sha256 TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    packaged_at TEXT NOT NULL,
    uploaded_at TEXT,
    marked_at TEXT
  ) STRICT;
  `,
  `
  ALTER TABLE batches ADD COLUMN origin TEXT NOT NULL DEFAULT 'server'
    CHECK (origin IN ('server', 'local', 'legacy'));
  ALTER TABLE batches ADD COLUMN dropped_at TEXT;

  CREATE TABLE champion_changes (
    id INTEGER PRIMARY KEY,
    version TEXT NOT NULL REFERENCES training_runs (version),
    previous TEXT REFERENCES training_runs (version),
    cause TEXT NOT NULL CHECK (cause IN ('gate', 'by-hand', 'rollback')),
    reason TEXT NOT NULL,
    changed_at TEXT NOT NULL
  ) STRICT;
  `,
];

/** The schema version that this Tower writes. */
export const currentSchemaVersion = migrations.length;

/**
 * Brings the schema up to date, one transaction per version.
 *
 * @throws TowerError `LEDGER_TOO_NEW` when a later Tower has written the file.
 */
export function migrate(database: SqliteDatabase): void {
  const found = schemaVersion(database);
  for (let version = found; version < migrations.length; version++) {
    database.exec('BEGIN IMMEDIATE');
    try {
      // Another process may have migrated between the look and the lock.
      if (schemaVersion(database) === version) {
        database.exec(migrations[version] ?? '');
        database.exec(`PRAGMA user_version = ${version + 1}`);
      }
      database.exec('COMMIT');
    } catch (error) {
      database.exec('ROLLBACK');
      throw error;
    }
  }
}

/** @throws TowerError `LEDGER_TOO_NEW` when a later Tower has written the file. */
export function schemaVersion(database: SqliteDatabase): number {
  const version = database.get<{ user_version: number }>('PRAGMA user_version')?.user_version ?? 0;
  if (version > migrations.length) {
    throw new TowerError(
      'LEDGER_TOO_NEW',
      `The ledger has schema version ${version}, this Tower knows up to ${migrations.length}`,
      { next: 'Use the Tower version that wrote it, or a later one.' },
    );
  }
  return version;
}
