import { randomBytes } from 'node:crypto';
import { access, mkdir, open, rm } from 'node:fs/promises';
import { basename, join, parse } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';
import type { ImportProgress } from '../ingest/import-batch.js';
import type { BatchRecord } from '../ledger/batches.js';
import { SqliteDatabase } from '../ledger/database.js';
import type { Ledger } from '../ledger/ledger.js';
import { importFile } from './import-file.js';

export interface LegacyDatabaseInput {
  readonly ledger: Ledger;
  readonly batchDirectory: string;
  /** The SQLite file of an old tower (contract signz-mind 3.2). Never written. */
  readonly path: string;
  /** ISO 8601 UTC. */
  readonly at: string;
}

type Row = Readonly<Record<string, unknown>>;

/** Columns that old databases may lack, with what their own upgrade puts there. */
const snippetColumns = {
  uuid: 'NULL',
  path: 'NULL',
  content: 'NULL',
  quality_label: "'neutral'",
  timestamp: 'NULL',
  last_modified_utc: 'NULL',
};
const feedbackColumns = {
  uuid: 'NULL',
  timestamp: 'NULL',
  source_code_context: 'NULL',
  ai_action_type: 'NULL',
  ai_generated_output: 'NULL',
  user_feedback_type: 'NULL',
  original_file_path: 'NULL',
  notes: 'NULL',
  last_modified_utc: 'NULL',
};
/** A row of an unknown age loses against every other. */
const unknownTime = '1970-01-01T00:00:00.000Z';
const bufferedCharacters = 256 * 1024;

/**
 * Takes over the rows of an old tower database as one batch `legacy-…`, in the form in which editors send them. Repeatable:
 * an unchanged database gives the same batch, a changed one only what is new in it. When an editor later sends a row that
 * was taken over, its version replaces this one.
 *
 * @throws TowerError `LEGACY_DATABASE_INVALID`, `LEGACY_DATABASE_EMPTY`
 */
export async function importLegacyDatabase(
  { ledger, batchDirectory, path, at }: LegacyDatabaseInput,
  options: ServiceOptions<ImportProgress>,
): Promise<{ readonly batch: BatchRecord; readonly added: boolean }> {
  await mkdir(batchDirectory, { recursive: true });
  const dump = join(batchDirectory, `.legacy-${randomBytes(6).toString('hex')}.tmp`);
  try {
    if ((await dumpDatabase(path, dump, options.signal)) === 0) {
      throw new TowerError('LEGACY_DATABASE_EMPTY', `${path} has no row to take over`, {
        next: 'Nothing has to be done: new batches come from the server.',
      });
    }
    const title = parse(basename(path)).name;
    return await importFile({ ledger, batchDirectory, path: dump, origin: 'legacy', title, at }, options);
  } finally {
    await rm(dump, { force: true });
  }
}

async function dumpDatabase(path: string, target: string, signal: AbortSignal): Promise<number> {
  const database = await openLegacy(path);
  const file = await open(target, 'wx');
  try {
    let buffer = '';
    let rows = 0;
    for (const row of legacyRows(database)) {
      rows += 1;
      buffer += `${JSON.stringify(row)}\n`;
      if (buffer.length < bufferedCharacters) continue;
      await file.writeFile(buffer);
      buffer = '';
      signal.throwIfAborted();
      await setImmediate();
    }
    await file.writeFile(buffer);
    return rows;
  } finally {
    await file.close();
    database.close();
  }
}

async function openLegacy(path: string): Promise<SqliteDatabase> {
  try {
    await access(path);
    const database = SqliteDatabase.openForeign(path);
    // One transaction: an old tower that still writes does not change what is read.
    database.exec('BEGIN');
    if (columnsOf(database, 'snippets').size > 0) return database;
    database.close();
  } catch (error) {
    throw invalid(path, error);
  }
  throw invalid(path);
}

function* legacyRows(database: SqliteDatabase): Generator<Row> {
  for (const { id, row } of rowsOf(database, 'snippets', snippetColumns)) {
    const { timestamp, ...fields } = row;
    yield {
      type: 'snippet',
      ...fields,
      uuid: row['uuid'] ?? `legacy-snippet-${id}`,
      timestamp_created_db: timestamp,
      last_modified_utc: row['last_modified_utc'] ?? timestamp ?? unknownTime,
    };
  }
  for (const { id, row } of rowsOf(database, 'ki_feedback', feedbackColumns)) {
    const { timestamp, ...fields } = row;
    yield {
      type: 'feedback',
      ...fields,
      uuid: row['uuid'] ?? `legacy-feedback-${id}`,
      timestamp_created_db: timestamp,
      last_modified_utc: row['last_modified_utc'] ?? timestamp,
    };
  }
}

/** Ids first, bodies one by one: memory stays small whatever the rows hold. */
function* rowsOf(
  database: SqliteDatabase,
  table: 'snippets' | 'ki_feedback',
  columns: Readonly<Record<string, string>>,
): Generator<{ readonly id: number; readonly row: Row }> {
  const present = columnsOf(database, table);
  if (present.size === 0) return;
  const list = Object.entries(columns).map(([name, fallback]) => `${present.has(name) ? name : fallback} AS ${name}`);
  for (const { id } of database.all<{ id: number }>(`SELECT id FROM ${table} ORDER BY id`)) {
    const row = database.get<Row>(`SELECT ${list.join(', ')} FROM ${table} WHERE id = ?`, id);
    if (row !== undefined) yield { id, row };
  }
}

function columnsOf(database: SqliteDatabase, table: string): Set<string> {
  return new Set(
    database.all<{ name: string }>('SELECT name FROM pragma_table_info(?)', table).map(({ name }) => name),
  );
}

function invalid(path: string, cause?: unknown): TowerError {
  return new TowerError('LEGACY_DATABASE_INVALID', `${path} is no tower database with a table snippets`, {
    ...(cause !== undefined && { cause }),
    next: 'Name the file of tower_db_path; end the old tower first, so that the file is whole.',
  });
}
