import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';
import type { MarkAfter } from '../ledger/batches.js';
import type { Ledger } from '../ledger/ledger.js';
import type { SignzMindClient } from '../server/signz-mind-client.js';

export interface MarkInput {
  readonly client: SignzMindClient;
  readonly ledger: Ledger;
  readonly markAfter: MarkAfter;
}

export interface MarkResult {
  readonly marked: number;
  /** How many were marked for which reason. */
  readonly reasons: Readonly<Record<string, number>>;
}

export interface MarkProgress {
  readonly done: number;
  readonly total: number;
}

/**
 * Marks every settled batch on the server, one after the other, and notes each at once: repeating goes on where it
 * stopped.
 *
 * @throws TowerError the first fault, after the other batches have had their turn; what was marked stays noted
 */
export async function markSettledBatches(
  { client, ledger, markAfter }: MarkInput,
  { signal, onProgress, log }: ServiceOptions<MarkProgress>,
): Promise<MarkResult> {
  const settled = ledger.batches.settleable(markAfter);
  const reasons: Record<string, number> = {};
  let marked = 0;
  let firstFault: TowerError | undefined;
  for (const [index, { name, reason }] of settled.entries()) {
    signal.throwIfAborted();
    onProgress?.({ done: index, total: settled.length });
    try {
      const outcome = await client.markBatchProcessed(name, { signal });
      await ledger.batches.recordMarked(name);
      log.info({ batch: name, reason, outcome }, 'batch marked');
    } catch (error) {
      if (!(error instanceof TowerError) || error.code === 'SERVER_KEY_REJECTED') throw error;
      firstFault ??= error;
      log.warn({ batch: name, reason: error.message }, 'batch not marked');
      // Without a connection the others would fail in the same way.
      if (error.code === 'SERVER_UNREACHABLE' || error.code === 'SERVER_TIMEOUT') break;
      continue;
    }
    marked += 1;
    reasons[reason] = (reasons[reason] ?? 0) + 1;
  }
  await ledger.deliveries.closeMarked();
  if (firstFault !== undefined) throw firstFault;
  return { marked, reasons };
}
