import type { Ledger } from './ledger.js';

/** The rows of one imported batch, counted where they lie now. */
interface BatchBalance {
  readonly name: string;
  readonly lines: number;
  readonly stored: number;
  readonly superseded: number;
  readonly quarantined: number;
}

interface LedgerFault {
  /** The batch, when the fault is of one. */
  readonly batch?: string;
  readonly fault: string;
}

export interface LedgerCheck {
  readonly batches: number;
  readonly lines: number;
  readonly stored: number;
  readonly superseded: number;
  readonly quarantined: number;
  /** Empty when all is well. */
  readonly faults: readonly LedgerFault[];
}

interface CountedBatch extends BatchBalance {
  readonly new: number;
  readonly updated: number;
  readonly stale: number;
  readonly duplicate: number;
  readonly replaced: number;
  readonly quarantinedCount: number;
}

/**
 * Proves for every imported batch that no row was lost: rows in = rows stored + superseded + quarantined,
 * each line in exactly one of them, and the counters of the batch equal to the rows that are there.
 */
export function checkLedger(ledger: Ledger): LedgerCheck {
  const snapshot = ledger.openSnapshot();
  try {
    const integrity = snapshot.all<{ integrity_check: string }>('PRAGMA integrity_check(10)');
    const faults: LedgerFault[] = integrity
      .filter((row) => row.integrity_check !== 'ok')
      .map((row) => ({ fault: `SQLite: ${row.integrity_check}` }));
    const batches = snapshot.all<CountedBatch>(
      `SELECT name, lines, new_rows AS new, updated_rows AS updated, stale_rows AS stale, duplicate_rows AS duplicate,
         replaced_rows AS replaced, quarantined_rows AS quarantinedCount,
         (SELECT count(*) FROM snippets WHERE batch_id = b.id)
           + (SELECT count(*) FROM feedback WHERE batch_id = b.id) AS stored,
         (SELECT count(*) FROM superseded_rows WHERE batch_id = b.id) AS superseded,
         (SELECT count(*) FROM quarantined_rows WHERE batch_id = b.id) AS quarantined
       FROM batches b WHERE imported_at IS NOT NULL ORDER BY id`,
    );
    for (const batch of batches) faults.push(...faultsOf(batch).map((fault) => ({ batch: batch.name, fault })));
    const twice = snapshot.all<{ name: string; line: number }>(
      `SELECT b.name, r.line FROM (
         SELECT batch_id, line FROM snippets UNION ALL SELECT batch_id, line FROM feedback
         UNION ALL SELECT batch_id, line FROM superseded_rows UNION ALL SELECT batch_id, line FROM quarantined_rows
       ) r JOIN batches b ON b.id = r.batch_id GROUP BY r.batch_id, r.line HAVING count(*) > 1 LIMIT 100`,
    );
    for (const { name, line } of twice) faults.push({ batch: name, fault: `line ${line} is accounted for twice` });
    const total = (count: (batch: CountedBatch) => number) => batches.reduce((sum, batch) => sum + count(batch), 0);
    return {
      batches: batches.length,
      lines: total(({ lines }) => lines),
      stored: total(({ stored }) => stored),
      superseded: total(({ superseded }) => superseded),
      quarantined: total(({ quarantined }) => quarantined),
      faults,
    };
  } finally {
    snapshot.close();
  }
}

function faultsOf(batch: CountedBatch): string[] {
  const expectations: [string, number, number][] = [
    ['rows in', batch.lines, batch.stored + batch.superseded + batch.quarantined],
    ['stored rows', batch.new + batch.updated - batch.replaced, batch.stored],
    ['superseded rows', batch.stale + batch.duplicate + batch.replaced, batch.superseded],
    ['quarantined rows', batch.quarantinedCount, batch.quarantined],
  ];
  return expectations
    .filter(([, expected, found]) => expected !== found)
    .map(([what, expected, found]) => `${what}: ${expected} noted, ${found} found`);
}
