import { stat } from 'node:fs/promises';

import { sha256OfFile } from '../../src/files/sha256.js';
import type { BatchRecord } from '../../src/signz-mind/ledger/batches.js';
import { recordLocalBatch } from '../../src/signz-mind/ledger/batch-edits.js';
import { Ledger } from '../../src/signz-mind/ledger/ledger.js';

export const cycle = '2025-07-01T13:00:00.000Z';

/** A new ledger that has a batch which is to be imported from the file. */
export async function listedBatch(path: string, file: string): Promise<{ ledger: Ledger; batch: BatchRecord }> {
  const ledger = Ledger.open(path);
  const [{ size: bytes }, sha256] = await Promise.all([stat(file), sha256OfFile(file)]);
  const name = 'batch_user_4_laptop_20250701_101500_123456.jsonl';
  await recordLocalBatch(ledger, { name, source: 'local', origin: 'local', cycle, bytes, sha256 });
  const batch = ledger.batches.get(name);
  if (batch === undefined) throw new Error('the batch was not recorded');
  return { ledger, batch };
}
