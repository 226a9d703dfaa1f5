import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { undefinedIfAbsent } from '../files/absent.js';
import { dropBatch, retryBatch } from '../signz-mind/ledger/batch-edits.js';
import type { Ledger } from '../signz-mind/ledger/ledger.js';
import { importFile } from '../signz-mind/local/import-file.js';
import { importLegacyDatabase } from '../signz-mind/local/legacy-database.js';
import { copyAdapter } from '../signz-mind/delivery/copy-adapter.js';
import { versionOf } from '../signz-mind/plan-training.js';
import type { ImportProgress } from '../signz-mind/ingest/import-batch.js';
import { withHeartbeat } from './heartbeat.js';
import * as inputs from './inputs.js';
import type { HostActivities, LedgerEdit, LedgerEditRecord } from './interfaces.js';
import type { WorkerEnvironment } from './worker-environment.js';

/** `editLedger` and `importLocalBatch`: what a person changes in the ledger. */
export function changeLedger(
  environment: WorkerEnvironment,
  ledger: Ledger,
): Pick<HostActivities, 'editLedger' | 'importLocalBatch'> {
  const { config, paths, log } = environment;
  const periodMs = config.worker.heartbeatSeconds * 1000;

  return {
    async editLedger(input) {
      const edit = inputs.checked(inputs.ledgerEditSchema, input);
      const record = await withHeartbeat(Context.current(), periodMs, () => applyEdit(environment, ledger, edit));
      log.info({ ...edit, done: record.done }, 'the ledger was changed by hand');
      return record;
    },

    async importLocalBatch(input) {
      const { kind, path, source, at } = inputs.checked(inputs.localBatchSchema, input);
      const context = Context.current();
      const common = { ledger, batchDirectory: paths.batches, path, at };
      const { batch, added } = await withHeartbeat<ImportProgress, Awaited<ReturnType<typeof importFile>>>(
        context,
        periodMs,
        (onProgress) => {
          const options = { signal: context.cancellationSignal, onProgress, log };
          if (kind === 'database') return importLegacyDatabase(common, options);
          return importFile({ ...common, origin: 'local', source }, options);
        },
      );
      return {
        batch: batch.name,
        added,
        lines: batch.lines,
        rows: {
          new: batch.newRows,
          updated: batch.updatedRows,
          stale: batch.staleRows,
          duplicate: batch.duplicateRows,
          quarantined: batch.quarantinedRows,
        },
      };
    },
  };
}

async function applyEdit(environment: WorkerEnvironment, ledger: Ledger, edit: LedgerEdit): Promise<LedgerEditRecord> {
  const { reason } = edit;
  switch (edit.edit) {
    case 'retry-batch': {
      const path = join(environment.paths.batches, edit.batch);
      const state = await retryBatch(ledger, edit.batch, { reason, hasRawFile: await hasRawFile(ledger, path, edit) });
      return { target: edit.batch, supersedes: [], done: `${edit.batch} is ${state}; the next cycle tries it again` };
    }
    case 'drop-batch':
      await dropBatch(ledger, edit.batch, reason);
      return { target: edit.batch, supersedes: [], done: `what is quarantined of ${edit.batch} was dropped` };
    case 'promote': {
      await ledger.champions.promote(edit.version, reason);
      return {
        target: edit.version,
        supersedes: await ledger.deliveries.supersedeOthers(edit.version),
        done: `${edit.version} is the champion`,
      };
    }
    case 'rollback':
      return rollback(environment, ledger, edit);
  }
}

async function rollback(
  { paths }: WorkerEnvironment,
  ledger: Ledger,
  { version, reason, deliverAs }: LedgerEdit & { edit: 'rollback' },
): Promise<LedgerEditRecord> {
  if (deliverAs === undefined) {
    await ledger.champions.rollback(version, reason);
    return {
      target: version,
      supersedes: [],
      done: `${version} is the champion again; the server keeps its latest upload`,
    };
  }
  // A server does not take a known version anew, and editors load only what has a new name.
  const copy = versionOf(deliverAs);
  if (ledger.runs.byVersion(copy) === undefined) {
    await ledger.champions.rollback(version, reason);
    await copyAdapter({ runsDirectory: paths.runs, from: ledger.runs.byVersion(version)?.run ?? version, to: copy });
    await ledger.champions.addCopy({ of: version, version: copy, cycle: deliverAs, reason });
  }
  return {
    target: copy,
    supersedes: await ledger.deliveries.supersedeOthers(copy),
    done: `${copy} is the champion: the adapter of ${version}, to be delivered again`,
  };
}

async function hasRawFile(ledger: Ledger, path: string, { batch }: { readonly batch: string }): Promise<boolean> {
  const file = await stat(path).catch(undefinedIfAbsent);
  return file !== undefined && file.size === ledger.batches.get(batch)?.bytes;
}
