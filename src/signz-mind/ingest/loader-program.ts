import { serveJobs } from '../../threads/serve-jobs.js';
import type { RowCounts } from '../ledger/import-rows.js';
import { withLedgerWriter } from '../ledger/ledger.js';
import { loadBatch, type BatchToImport, type ImportProgress } from './load-batch.js';

export interface LoadJob {
  readonly ledgerPath: string;
  readonly batch: BatchToImport;
}

/** The program of the loader thread of `import-batch.ts`. */
serveJobs<LoadJob, RowCounts | undefined, ImportProgress>(({ ledgerPath, batch }, options) =>
  withLedgerWriter(ledgerPath, (database) => loadBatch(database, batch, options)),
);
