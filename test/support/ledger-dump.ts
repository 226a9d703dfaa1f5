import { Ledger } from '../../src/signz-mind/ledger/ledger.js';

const tables = [
  ...['cycles', 'batches', 'snippets', 'feedback', 'superseded_rows', 'quarantined_rows'],
  ...['training_runs', 'run_batches', 'deliveries'],
];

/** Everything in a ledger but the times of writing, as comparable text. */
export function dumpLedger(path: string): string {
  const ledger = Ledger.openReadOnly(path);
  const snapshot = ledger.openSnapshot();
  try {
    return tables
      .flatMap((table) => {
        const rows = snapshot.all<Record<string, unknown>>(`SELECT * FROM ${table} ORDER BY 1, 2`);
        return rows.map((row) => {
          const kept = Object.entries(row).filter(([column]) => !column.endsWith('_at'));
          return `${table} ${JSON.stringify(Object.fromEntries(kept))}`;
        });
      })
      .join('\n');
  } finally {
    snapshot.close();
    ledger.close();
  }
}
