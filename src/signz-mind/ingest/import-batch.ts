import type { ServiceOptions } from '../../service-options.js';
import { JobThread } from '../../threads/job-thread.js';
import type { RowCounts } from '../ledger/import-rows.js';
import type { Ledger } from '../ledger/ledger.js';
import type { BatchToImport, ImportProgress } from './load-batch.js';
import type { LoadJob } from './loader-program.js';

export type { ImportProgress } from './load-batch.js';

const loader = new JobThread<LoadJob, RowCounts | undefined, ImportProgress>({
  name: 'loader',
  program: 'signz-mind/ingest/loader-program',
  // What keeps memory constant: garbage of parsed lines is collected instead of kept.
  resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 256 },
});

/**
 * Imports one raw batch file in one transaction: all of its rows, or after a fault none. Bad rows are quarantined with
 * line number and reason; the others are stored. Reading, parsing, writing and the commit itself, which takes seconds for a
 * large batch, happen in a thread, so that heartbeats go on; meanwhile this process writes nothing else to the ledger.
 *
 * Importing a batch that the ledger has already imported does nothing.
 *
 * @returns the counts, or `undefined` when the batch was imported before.
 * @throws BatchFileFaultError when no line of the file is a row (empty, compressed, not UTF-8, not JSON lines)
 * @throws TowerError `BATCH_FILE_CHANGED` when the file is not the one that was downloaded
 */
export async function importBatch(
  ledger: Ledger,
  batch: BatchToImport,
  options: Pick<ServiceOptions<ImportProgress>, 'signal' | 'onProgress'>,
): Promise<RowCounts | undefined> {
  return ledger.lendWriting((ledgerPath) => loader.run({ ledgerPath, batch }, options));
}
