import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { importBatch } from '../../src/signz-mind/ingest/import-batch.js';
import type { Side } from '../side.js';
import { cycle, listedBatch } from './listed-batch.js';

/** The import step of the daily cycle, as it is. */
export const towerImport: Side = {
  async prepare({ directory, file = '' }) {
    const { ledger, batch } = await listedBatch(join(directory, 'ledger.db'), file);
    const expected = (await stat(file)).size / 1024;
    return async () => {
      const { signal } = new AbortController();
      const counts = await importBatch(ledger, { ...batch, path: file, cycle }, { signal });
      if (counts?.new !== expected) throw new Error(`expected ${expected} new rows, found ${String(counts?.new)}`);
      ledger.close();
    };
  },
};
