import { TowerError } from '../../errors.js';
import type { LedgerAccess } from './access.js';
import { now, type BatchOrigin, type BatchState } from './batches.js';
import type { SqliteDatabase } from './database.js';

export interface LocalBatch {
  readonly name: string;
  readonly source: string;
  readonly origin: Exclude<BatchOrigin, 'server'>;
  /** When it was given, ISO 8601 UTC; stands where other batches have their cycle. */
  readonly cycle: string;
  readonly bytes: number;
  readonly sha256: string;
}

interface EditedBatch {
  readonly state: BatchState;
  readonly imported: string | null;
  readonly quarantinedRows: number;
  readonly marked: string | null;
}

/** Notes a batch whose raw file a person brought. Repeatable. */
export async function recordLocalBatch(ledger: LedgerAccess, batch: LocalBatch): Promise<void> {
  const { name, source, origin, cycle, bytes, sha256 } = batch;
  await ledger.write((database) =>
    database.run(
      `INSERT INTO batches (name, source, origin, cycle, state, bytes, sha256, listed_at, downloaded_at)
       VALUES (?, ?, ?, ?, 'downloaded', ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING`,
      ...[name, source, origin, cycle, bytes, sha256, now(), now()],
    ),
  );
}

/** Forgets a local batch that turned out to be unusable before any of its rows was stored. */
export async function forgetLocalBatch(ledger: LedgerAccess, name: string): Promise<void> {
  await ledger.write((database) =>
    database.run("DELETE FROM batches WHERE name = ? AND origin <> 'server' AND imported_at IS NULL", name),
  );
}

/**
 * Gives a batch that was set aside another three cycles, also when it was marked meanwhile.
 *
 * @param hasRawFile whether the raw file is still there; without it the server must still offer the batch.
 * @throws TowerError `BATCH_UNKNOWN`, `BATCH_NOT_QUARANTINED`, `RAW_FILE_GONE`
 */
export async function retryBatch(
  ledger: LedgerAccess,
  name: string,
  { hasRawFile, reason }: { readonly hasRawFile: boolean; readonly reason: string },
): Promise<BatchState> {
  return ledger.write((database) => {
    const batch = known(database, name);
    if (batch.state === 'listed' || batch.state === 'downloaded') return batch.state;
    if (batch.imported !== null) {
      throw new TowerError('BATCH_NOT_QUARANTINED', `${name} was imported; ${rowsText(batch.quarantinedRows)}`, {
        next: 'Correct quarantined lines in a copy of the raw file and bring them in with `tower data import`.',
      });
    }
    if (!hasRawFile && batch.marked !== null) {
      throw new TowerError('RAW_FILE_GONE', `${name} is marked on the server, and its raw file is not kept any more`, {
        next: 'Bring the file in with `tower data import` if you have it.',
      });
    }
    const state = hasRawFile ? 'downloaded' : 'listed';
    database.run(
      `UPDATE batches SET state = ?, failed_cycles = 0, last_failed_cycle = NULL, settled_reason = NULL,
       marked_at = NULL, dropped_at = NULL, reason = ? WHERE name = ?`,
      ...[state, `to be tried again: ${reason}`, name],
    );
    return state;
  });
}

/**
 * Gives up what is quarantined of a batch: the whole file, or its bad rows. It stays in the books; its raw file is not kept
 * for ever any more. Repeatable.
 *
 * @throws TowerError `BATCH_UNKNOWN`, `BATCH_NOT_QUARANTINED`
 */
export async function dropBatch(ledger: LedgerAccess, name: string, reason: string): Promise<void> {
  await ledger.write((database) => {
    const batch = known(database, name);
    const wholeFile = batch.imported === null && (batch.state === 'quarantined' || batch.state === 'marked');
    if (!wholeFile && batch.quarantinedRows === 0) {
      throw new TowerError('BATCH_NOT_QUARANTINED', `${name} is ${batch.state}, and none of its rows is quarantined`, {
        next: '`tower data quarantine list` shows what can be dropped.',
      });
    }
    database.run(
      `UPDATE batches SET dropped_at = coalesce(dropped_at, ?), reason = ?,
       settled_reason = CASE WHEN state = 'quarantined' THEN ? ELSE settled_reason END WHERE name = ?`,
      ...[now(), `dropped by hand: ${reason}`, `dropped by hand: ${reason}`, name],
    );
  });
}

function known(database: SqliteDatabase, name: string): EditedBatch {
  const batch = database.get<EditedBatch>(
    `SELECT state, imported_at AS imported, quarantined_rows AS quarantinedRows, marked_at AS marked
     FROM batches WHERE name = ?`,
    name,
  );
  if (batch !== undefined) return batch;
  throw new TowerError('BATCH_UNKNOWN', `the ledger knows no batch ${name}`, {
    next: '`tower data list` names the batches.',
  });
}

function rowsText(count: number): string {
  return count === 0 ? 'nothing of it is quarantined' : `${count} of its rows are quarantined, the others are stored`;
}
