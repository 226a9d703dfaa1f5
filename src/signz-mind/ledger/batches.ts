import type { BatchSource } from '../batch-name.js';
import type { LedgerAccess } from './access.js';

/** Where a batch came from: the Signz-Mind server, a file given by hand, or an old tower database. */
export type BatchOrigin = 'server' | 'local' | 'legacy';

/** States of a batch, in the order in which it passes them; `quarantined` is an end of its own until it is marked. */
export const batchStates = [
  'listed',
  'downloaded',
  'imported',
  'trained',
  'delivered',
  'marked',
  'quarantined',
] as const;
export type BatchState = (typeof batchStates)[number];

/** One batch as the ledger knows it. Sizes in bytes, times ISO 8601 UTC. */
export interface BatchRecord {
  readonly id: number;
  readonly name: string;
  /** User and client of the uploader; rows are unique by source and uuid. */
  readonly source: string;
  readonly userId: string | null;
  readonly clientId: string | null;
  /** Logical time of the cycle that saw it first. */
  readonly cycle: string;
  readonly state: BatchState;
  readonly origin: BatchOrigin;
  readonly bytes: number | null;
  readonly sha256: string | null;
  /** Lines that are not blank. `lines = new + updated + stale + duplicate + quarantined` once imported. */
  readonly lines: number;
  readonly newRows: number;
  readonly updatedRows: number;
  readonly staleRows: number;
  readonly duplicateRows: number;
  /** Rows of this batch that a later row has replaced since. */
  readonly replacedRows: number;
  readonly quarantinedRows: number;
  /** Rows that the newest training set took from it; `null` before it was asked. */
  readonly trainingRows: number | null;
  /** The last fault, or why it was set aside. */
  readonly reason: string | null;
  /** Why the batch may be marked on the server; `null` as long as it may not. */
  readonly settledReason: string | null;
  readonly failedCycles: number;
  readonly listedAt: string;
  readonly downloadedAt: string | null;
  readonly importedAt: string | null;
  readonly markedAt: string | null;
  /** When a person gave up what is quarantined of it. */
  readonly droppedAt: string | null;
}

export interface SettledBatch {
  readonly name: string;
  readonly reason: string;
}

export interface CycleTotals {
  /** Batches. */
  readonly imported: number;
  readonly quarantined: number;
  readonly newRows: number;
  readonly updatedRows: number;
  readonly staleRows: number;
  readonly duplicateRows: number;
  readonly quarantinedRows: number;
}

/** Whether batches are marked when they are settled, or as soon as they are imported (`server.markAfter`). */
export type MarkAfter = 'settled' | 'import';

const columns = `id, name, source, user_id AS userId, client_id AS clientId, cycle, state, origin, bytes, sha256, lines,
  new_rows AS newRows, updated_rows AS updatedRows, stale_rows AS staleRows, duplicate_rows AS duplicateRows,
  replaced_rows AS replacedRows, quarantined_rows AS quarantinedRows, training_rows AS trainingRows, reason,
  settled_reason AS settledReason, failed_cycles AS failedCycles, listed_at AS listedAt,
  downloaded_at AS downloadedAt, imported_at AS importedAt, marked_at AS markedAt, dropped_at AS droppedAt`;

export class BatchTable {
  readonly #ledger: LedgerAccess;

  constructor(ledger: LedgerAccess) {
    this.#ledger = ledger;
  }

  get(name: string): BatchRecord | undefined {
    return this.#ledger.reader.get<BatchRecord>(`SELECT ${columns} FROM batches WHERE name = ?`, name);
  }

  /** All batches in the order in which they were first seen. */
  list(): BatchRecord[] {
    return this.#ledger.reader.all<BatchRecord>(`SELECT ${columns} FROM batches ORDER BY id`);
  }

  countByState(): Partial<Record<BatchState, number>> {
    const rows = this.#ledger.reader.all<{ state: BatchState; count: number }>(
      'SELECT state, count(*) AS count FROM batches GROUP BY state',
    );
    return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
  }

  /** Offered or downloaded batches whose rows are not in the ledger yet, in ledger order. */
  awaitingImport(offered: readonly string[]): BatchRecord[] {
    return this.#ledger.reader.all<BatchRecord>(
      `SELECT ${columns} FROM batches WHERE state = 'downloaded'
       OR (state = 'listed' AND name IN (SELECT value FROM json_each(?))) ORDER BY id`,
      JSON.stringify(offered),
    );
  }

  /** What one cycle has brought in so far, over all attempts of its ingest. */
  totalsOfCycle(cycle: string): CycleTotals {
    const totals = this.#ledger.reader.get<CycleTotals>(
      `SELECT count(*) FILTER (WHERE imported_cycle = ?1) AS imported,
         count(*) FILTER (WHERE state = 'quarantined' AND last_failed_cycle = ?1) AS quarantined,
         coalesce(sum(new_rows) FILTER (WHERE imported_cycle = ?1), 0) AS newRows,
         coalesce(sum(updated_rows) FILTER (WHERE imported_cycle = ?1), 0) AS updatedRows,
         coalesce(sum(stale_rows) FILTER (WHERE imported_cycle = ?1), 0) AS staleRows,
         coalesce(sum(duplicate_rows) FILTER (WHERE imported_cycle = ?1), 0) AS duplicateRows,
         coalesce(sum(quarantined_rows) FILTER (WHERE imported_cycle = ?1), 0) AS quarantinedRows
       FROM batches`,
      cycle,
    );
    if (totals === undefined) throw new Error('an aggregate always has a row');
    return totals;
  }

  /**
   * Notes what the server offers. Known names stay as they are, except that a marked batch which is offered again (its
   * mark was lost, or the server was restored) becomes markable again.
   *
   * @returns how many names were new.
   */
  async recordListing(listing: readonly { name: string; source: BatchSource }[], cycle: string): Promise<number> {
    return this.#ledger.write((database) => {
      let added = 0;
      for (const { name, source } of listing) {
        added += database.run(
          `INSERT INTO batches (name, source, user_id, client_id, cycle, state, listed_at)
           VALUES (?, ?, ?, ?, ?, 'listed', ?) ON CONFLICT (name) DO NOTHING`,
          ...[name, source.key, source.userId, source.clientId, cycle, now()],
        );
        database.run(
          `UPDATE batches SET state = CASE WHEN imported_at IS NULL THEN 'quarantined' ELSE 'delivered' END,
           marked_at = NULL WHERE name = ? AND state = 'marked'`,
          name,
        );
      }
      database.run(
        `UPDATE batches SET reason = 'the server no longer offers it' WHERE state = 'listed'
         AND name NOT IN (SELECT value FROM json_each(?))`,
        JSON.stringify(listing.map(({ name }) => name)),
      );
      return added;
    });
  }

  async recordDownload(name: string, file: { readonly bytes: number; readonly sha256: string }): Promise<void> {
    await this.#ledger.write((database) =>
      database.run(
        `UPDATE batches SET state = 'downloaded', bytes = ?, sha256 = ?, reason = NULL, downloaded_at = ?
         WHERE name = ? AND state IN ('listed', 'downloaded')`,
        ...[file.bytes, file.sha256, now(), name],
      ),
    );
  }

  /** Notes why a batch waits for the next cycle; costs it nothing. */
  async recordPostponed(name: string, reason: string): Promise<void> {
    await this.#ledger.write((database) =>
      database.run("UPDATE batches SET reason = ? WHERE name = ? AND state IN ('listed', 'downloaded')", reason, name),
    );
  }

  /**
   * Counts a whole-file fault, once a cycle however often the activity runs. At the `limit`th cycle the batch is set
   * aside: state `quarantined`, the raw file stays, and it may be marked.
   *
   * @returns whether the batch is set aside now.
   */
  async recordFault(name: string, fault: { cycle: string; reason: string; limit: number }): Promise<boolean> {
    return this.#ledger.write((database) => {
      database.run(
        `UPDATE batches SET failed_cycles = failed_cycles + 1, last_failed_cycle = ?, reason = ?
         WHERE name = ? AND state IN ('listed', 'downloaded') AND last_failed_cycle IS NOT ?`,
        ...[fault.cycle, fault.reason, name, fault.cycle],
      );
      const setAside = database.run(
        `UPDATE batches SET state = 'quarantined',
         settled_reason = 'set aside after ' || failed_cycles || ' cycles, raw file kept: ' || reason
         WHERE name = ? AND state IN ('listed', 'downloaded') AND failed_cycles >= ?`,
        ...[name, fault.limit],
      );
      return setAside > 0;
    });
  }

  /**
   * Notes how many rows each imported batch gave to the training set just built. A batch without any is settled: it
   * waits for no training.
   */
  async recordTrainingRows(rows: ReadonlyMap<number, number>): Promise<void> {
    await this.#ledger.write((database) => {
      database.run(
        `UPDATE batches SET training_rows = 0 WHERE state = 'imported'
         AND id NOT IN (SELECT value FROM json_each(?))`,
        JSON.stringify([...rows.keys()]),
      );
      for (const [id, count] of rows) database.run('UPDATE batches SET training_rows = ? WHERE id = ?', count, id);
      database.run(
        `UPDATE batches SET settled_reason = CASE
           WHEN new_rows + updated_rows = 0 THEN 'no training rows: it brought no new row'
           WHEN new_rows + updated_rows = replaced_rows THEN 'no training rows: later batches replaced all its rows'
           ELSE 'no training rows: none has the label or feedback type that is trained on' END
         WHERE state = 'imported' AND training_rows = 0`,
      );
      database.run("UPDATE batches SET settled_reason = NULL WHERE state = 'imported' AND training_rows > 0");
    });
  }

  /** Batches of the server that may be marked there now, each with the reason, in ledger order. */
  settleable(markAfter: MarkAfter = 'settled'): SettledBatch[] {
    return this.#ledger.reader.all<SettledBatch>(
      `SELECT name, coalesce(settled_reason, 'imported') AS reason FROM batches
       WHERE state IN ('imported', 'trained', 'delivered', 'quarantined') AND origin = 'server'
       AND (settled_reason IS NOT NULL OR (? = 'import' AND state <> 'quarantined')) ORDER BY id`,
      markAfter,
    );
  }

  async recordMarked(name: string): Promise<void> {
    await this.#ledger.write((database) =>
      database.run(
        "UPDATE batches SET state = 'marked', marked_at = ? WHERE name = ? AND state NOT IN ('listed', 'downloaded')",
        ...[now(), name],
      ),
    );
  }
}

export function now(): string {
  return new Date().toISOString();
}
