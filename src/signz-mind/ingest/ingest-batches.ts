import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { TowerError } from '../../errors.js';
import { undefinedIfAbsent } from '../../files/absent.js';
import type { ServiceOptions } from '../../service-options.js';
import { batchSource } from '../batch-name.js';
import type { BatchRecord } from '../ledger/batches.js';
import type { Ledger } from '../ledger/ledger.js';
import type { SignzMindClient } from '../server/signz-mind-client.js';
import { removeAbandonedDownloads } from '../server/download-batch.js';
import { importBatch } from './import-batch.js';
import type { IngestSummary } from './ingest-summary.js';

export interface IngestInput {
  readonly client: SignzMindClient;
  readonly ledger: Ledger;
  /** Raw files are kept here under their own names. */
  readonly batchDirectory: string;
  /** Logical time of the cycle, ISO 8601 UTC. */
  readonly cycle: string;
  /** A batch with a whole-file fault in so many cycles is set aside. Default 3. */
  readonly faultLimit?: number;
}

export interface IngestProgress {
  readonly stage: 'listing' | 'downloading' | 'importing';
  readonly batch?: string;
  /** Batches done and to do in this call. */
  readonly done: number;
  readonly total: number;
  /** Bytes of the batch handled so far. */
  readonly bytes?: number;
}

const namedPostponed = 20;
/** So many batches in a row without a connection: the server is gone, not a batch broken. */
const lostConnections = 3;
/** Faults of the file: they count against the batch. */
const fileFaults = new Set(['BATCH_FILE_FAULT', 'BATCH_TOO_LARGE']);
/** Faults of one download, which others may not have. */
const downloadFaults = new Set([
  ...['SERVER_UNREACHABLE', 'SERVER_TIMEOUT', 'SERVER_FAILED', 'DOWNLOAD_INCOMPLETE', 'BATCH_FILE_CHANGED'],
  ...['SERVER_NOT_FOUND', 'SERVER_REFUSED', 'SERVER_REDIRECTED', 'SERVER_ANSWER_INVALID'],
]);

/**
 * Brings every batch that the server offers into the ledger: download, keep the raw file, import. The ledger is the
 * cursor: killed at any point and repeated, it ends in the same state.
 *
 * A batch that fails does not stop the others: what cannot be fetched is tried once more at the end and then left for the
 * next cycle, with the reason; an unusable file is counted once a cycle and set aside at the limit.
 *
 * @throws TowerError when the listing fails, the key is rejected, the server is gone or the disk is full
 */
export async function ingestBatches(
  input: IngestInput,
  options: ServiceOptions<IngestProgress>,
): Promise<IngestSummary> {
  const { client, ledger, cycle } = input;
  const { signal, onProgress, log } = options;
  onProgress?.({ stage: 'listing', done: 0, total: 0 });
  await removeAbandonedDownloads(input.batchDirectory);
  const { names, refused } = await client.listNewBatches({ signal });
  for (const { name, reason } of refused) log.warn({ name, reason }, 'batch name refused');
  await ledger.batches.recordListing(
    names.map((name) => ({ name, source: batchSource(name) })),
    cycle,
  );

  const waiting = ledger.batches.awaitingImport(names);
  const postponed = new Map(refused.map(({ name, reason }) => [name, `its name is not accepted: ${reason}`]));
  let queue = waiting;
  for (const round of ['first', 'last'] as const) {
    const failed: BatchRecord[] = [];
    let lost = 0;
    for (const [index, batch] of queue.entries()) {
      signal.throwIfAborted();
      try {
        await ingestBatch(input, batch, {
          ...options,
          onProgress: (progress) => onProgress?.({ ...progress, done: index, total: queue.length }),
        });
        postponed.delete(batch.name);
        lost = 0;
      } catch (error) {
        const fault = await settleFault(input, batch, error, options);
        if (fault === undefined) continue;
        postponed.set(batch.name, fault.message);
        lost = fault.code === 'SERVER_UNREACHABLE' || fault.code === 'SERVER_TIMEOUT' ? lost + 1 : 0;
        if (lost >= lostConnections) throw fault;
        if (fault.retryable && round === 'first') failed.push(batch);
        else await ledger.batches.recordPostponed(batch.name, fault.message);
      }
    }
    queue = failed;
  }
  return summary(input, { names, waiting, postponed });
}

type BatchProgress = Pick<IngestProgress, 'stage' | 'batch' | 'bytes'>;

async function ingestBatch(
  { client, ledger, batchDirectory, cycle }: IngestInput,
  listed: BatchRecord,
  { signal, onProgress, log }: ServiceOptions<BatchProgress>,
): Promise<void> {
  const { name, id, source } = listed;
  const path = join(batchDirectory, name);
  const report = (stage: BatchProgress['stage'], bytes: number) => onProgress?.({ stage, batch: name, bytes });
  const fetch = async () => {
    const file = await client.downloadBatch(name, batchDirectory, {
      signal,
      onProgress: ({ receivedBytes }) => report('downloading', receivedBytes),
    });
    await ledger.batches.recordDownload(name, file);
    return file;
  };
  const load = (file: { bytes: number | null; sha256: string | null }) =>
    importBatch(
      ledger,
      { id, name, source, cycle, path, bytes: file.bytes, sha256: file.sha256 },
      { signal, onProgress: ({ readBytes }) => report('importing', readBytes) },
    );

  let rows;
  if (listed.state === 'downloaded' && (await sizeOf(path)) === listed.bytes) {
    try {
      rows = await load(listed);
    } catch (error) {
      if (!(error instanceof TowerError && error.code === 'BATCH_FILE_CHANGED')) throw error;
      log.warn({ batch: name }, error.message);
      rows = await load(await fetch());
    }
  } else {
    rows = await load(await fetch());
  }
  log.info({ batch: name, rows }, 'batch imported');
}

/** Counts a fault of the file; returns a fault of the download for another try; throws everything else on. */
async function settleFault(
  { ledger, cycle, faultLimit = 3 }: IngestInput,
  batch: BatchRecord,
  error: unknown,
  { log }: Pick<ServiceOptions, 'log'>,
): Promise<TowerError | undefined> {
  if (!(error instanceof TowerError)) throw error;
  if (fileFaults.has(error.code)) {
    const fault = { cycle, reason: error.message, limit: faultLimit };
    const setAside = await ledger.batches.recordFault(batch.name, fault);
    log.warn({ batch: batch.name, reason: error.message, setAside }, 'batch file unusable');
    return undefined;
  }
  if (!downloadFaults.has(error.code)) throw error;
  log.warn({ batch: batch.name, reason: error.message }, 'batch not fetched');
  return error;
}

function summary(
  { ledger, cycle }: IngestInput,
  { names, waiting, postponed }: { names: readonly string[]; waiting: BatchRecord[]; postponed: Map<string, string> },
): IngestSummary {
  const totals = ledger.batches.totalsOfCycle(cycle);
  for (const { name } of waiting) {
    const batch = ledger.batches.get(name);
    if (batch?.state === 'listed' || batch?.state === 'downloaded') postponed.set(name, batch.reason ?? 'not imported');
  }
  const left = [...postponed].map(([name, reason]) => ({ name, reason }));
  const waitingNames = new Set(waiting.map(({ name }) => name));
  return {
    listed: names.length,
    imported: totals.imported,
    alreadyImported: names.filter((name) => !waitingNames.has(name)).length,
    quarantined: totals.quarantined,
    postponed: left.slice(0, namedPostponed),
    postponedCount: left.length,
    rows: {
      new: totals.newRows,
      updated: totals.updatedRows,
      stale: totals.staleRows,
      duplicate: totals.duplicateRows,
      quarantined: totals.quarantinedRows,
    },
  };
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(undefinedIfAbsent))?.size;
}
