import { join } from 'node:path';

import { TowerError } from '../errors.js';
import type { BatchRecord } from '../signz-mind/ledger/batches.js';
import type { CycleRecord } from '../signz-mind/ledger/cycles.js';
import type { DeliveryRecord } from '../signz-mind/ledger/deliveries.js';
import type { Ledger } from '../signz-mind/ledger/ledger.js';
import { quarantinedRows, type QuarantinedRow } from '../signz-mind/ledger/row-history.js';
import type { RunRecord } from '../signz-mind/ledger/runs.js';
import { versionOf } from '../signz-mind/plan-training.js';
import { packageEntries, type PackageEntry } from './package-entries.js';
import { readTrainingRecord, type TrainingRecord } from './training-record.js';

/** Everything that is known of one daily cycle. Times are ISO 8601 UTC. */
export interface CycleReport {
  readonly logicalTime: string;
  /** `null` when the ledger has no cycle of this time, for example for a version that a person delivered again. */
  readonly cycle: CycleRecord | null;
  readonly simulated: boolean;
  /** Batches that this cycle imported or failed to import. */
  readonly batchesIn: readonly BatchRecord[];
  /** At most {@link listedRows}. */
  readonly quarantined: readonly QuarantinedRow[];
  readonly run: RunRecord | null;
  /** Batches with rows in the run's training set. */
  readonly trainedBatches: readonly BatchRecord[];
  readonly training: TrainingRecord | null;
  readonly delivery: DeliveryRecord | null;
  /** `null` when the package is not on disk. */
  readonly packageEntries: readonly PackageEntry[] | null;
}

export interface ReportSources {
  readonly ledger: Ledger;
  readonly runsDirectory: string;
  readonly packagesDirectory: string;
}

const listedRows = 500;

/**
 * @param name logical time, version, `deliver-adapter/<version>`, `daily-cycle` (the newest), or the id of a tick.
 * @throws TowerError `NOT_FOUND`
 */
export async function buildCycleReport(sources: ReportSources, name: string): Promise<CycleReport> {
  const { ledger, runsDirectory, packagesDirectory } = sources;
  const { logicalTime, run } = find(ledger, name);
  const batchesIn = batchesOf(ledger, logicalTime);
  const delivery = run === undefined ? undefined : ledger.deliveries.get(run.version);
  const training = run === undefined ? undefined : await readTrainingRecord(join(runsDirectory, run.run));
  const entries = run === undefined ? undefined : await packageEntries(join(packagesDirectory, `${run.version}.zip`));
  return {
    logicalTime,
    cycle: ledger.cycles.get(logicalTime) ?? null,
    simulated: run?.simulated ?? false,
    batchesIn,
    quarantined: batchesIn
      .flatMap((batch) => quarantinedRows(ledger.reader, { batch: batch.name, limit: listedRows }))
      .slice(0, listedRows),
    run: run ?? null,
    trainedBatches: (run === undefined ? [] : ledger.runs.batchNames(run.run)).flatMap(
      (batch) => ledger.batches.get(batch) ?? [],
    ),
    training: training ?? null,
    delivery: delivery ?? null,
    packageEntries: entries ?? null,
  };
}

function find(ledger: Ledger, name: string): { logicalTime: string; run: RunRecord | undefined } {
  const byVersion = ledger.runs.byVersion(name.replace(/^deliver-adapter\//, ''));
  if (byVersion !== undefined) return { logicalTime: byVersion.cycle, run: byVersion };
  const newest = name === 'daily-cycle' ? ledger.cycles.list(1)[0]?.logicalTime : undefined;
  // A tick of the schedule has its time at the end of its id.
  const text = newest ?? /\d{4}-\d{2}-\d{2}T.*$/.exec(name)?.[0];
  const time = Date.parse(text ?? '');
  if (!Number.isNaN(time)) {
    const logicalTime = new Date(time).toISOString();
    const run = ledger.runs.byVersion(versionOf(logicalTime));
    if (run !== undefined || ledger.cycles.get(logicalTime) !== undefined) return { logicalTime, run };
  }
  throw new TowerError('NOT_FOUND', `the ledger knows no cycle ${name}`, {
    next: 'Name a version (`tower adapters list`), a logical time such as 2026-01-31T13:00:00Z, or daily-cycle for the newest.',
  });
}

function batchesOf(ledger: Ledger, logicalTime: string): BatchRecord[] {
  const names = ledger.reader.all<{ name: string }>(
    `SELECT name FROM batches WHERE imported_cycle = ?1 OR last_failed_cycle = ?1
     OR (cycle = ?1 AND imported_cycle IS NULL) ORDER BY id`,
    logicalTime,
  );
  return names.flatMap(({ name }) => ledger.batches.get(name) ?? []);
}
