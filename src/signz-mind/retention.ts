import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import type { Log } from '../log/logger.js';
import type { BatchRecord } from './ledger/batches.js';
import type { Ledger } from './ledger/ledger.js';
import type { RunRecord } from './ledger/runs.js';

/** How long what is kept, in days. */
export interface RetentionLimits {
  readonly rawBatchDays: number;
  readonly packageDays: number;
  readonly rejectedAdapterDays: number;
  readonly checkpointDays: number;
  readonly failedRunDays: number;
}

export interface RetentionInput {
  readonly ledger: Ledger;
  readonly batchDirectory: string;
  readonly runsDirectory: string;
  readonly packagesDirectory: string;
  readonly limits: RetentionLimits;
  readonly now: Date;
}

export interface Removed {
  readonly path: string;
  readonly reason: string;
}

const dayMs = 86_400_000;
/** Longer than any attempt works on a temporary file without touching it. */
const abandonedDays = 1;
/** What a run needs no more once it is decided; its records (launches, steps, outcome) are small and stay. */
const heavyFolders = ['output', 'dataset', 'broken'];

/**
 * Removes what is old and of no use any more (weakness W11): raw files of settled batches, packages of delivered adapters,
 * files of rejected candidates and of failed trainings, saved states of finished ones, drafts and partial files.
 *
 * Whatever its age, nothing goes that is undelivered, quarantined and not dropped, or the champion; adapters that were
 * promoted stay too, so that one can go back to them. The ledger keeps every record. Repeatable.
 *
 * @returns what was removed.
 */
export async function applyRetention(input: RetentionInput, { log }: { readonly log: Log }): Promise<Removed[]> {
  const removed = [
    ...(await removeAll(rawFiles(input))),
    ...(await removeAll(packages(input))),
    ...(await removeAll(runFiles(input))),
    ...(await removeAll(checkpoints(input))),
    ...(await removeAll(await leftOvers(input))),
  ];
  for (const { path, reason } of removed) log.info({ path, reason }, 'removed by retention');
  return removed;
}

function rawFiles({ ledger, batchDirectory, limits, now }: RetentionInput): Removed[] {
  return ledger.batches
    .list()
    .filter((batch) => isOlder(settledAt(batch), limits.rawBatchDays, now))
    .map(({ name, state }) => ({ path: join(batchDirectory, name), reason: `raw file of a batch that is ${state}` }));
}

/** Since when nothing needs the raw file; `null` while something may. */
function settledAt({ state, origin, importedAt, markedAt, droppedAt, quarantinedRows }: BatchRecord): string | null {
  const isQuarantined = importedAt === null || quarantinedRows > 0;
  if (isQuarantined && droppedAt === null) return null;
  if (state === 'marked') return markedAt;
  if (origin === 'server') return null;
  // A local batch is never marked: it is done with when its adapter is delivered.
  return state === 'delivered' ? importedAt : droppedAt;
}

function packages({ ledger, packagesDirectory, limits, now }: RetentionInput): Removed[] {
  return ledger.deliveries
    .list(100_000)
    .filter(({ state, uploadedAt, packagedAt }) => {
      if (state === 'packaged') return false;
      return isOlder(uploadedAt ?? packagedAt, limits.packageDays, now);
    })
    .filter(({ version }) => ledger.runs.champion()?.version !== version)
    .map(({ version, state }) => ({
      path: join(packagesDirectory, `${version}.zip`),
      reason: state === 'superseded' ? 'package that a newer adapter replaced' : 'package of a delivered adapter',
    }));
}

function runFiles({ ledger, runsDirectory, limits, now }: RetentionInput): Removed[] {
  const runs = ledger.runs.list(100_000);
  const newest = runs[0]?.id;
  return runs.flatMap((run) => {
    const reason = uselessBecause(run, { limits, now, isNewest: run.id === newest });
    if (reason === undefined || run.champion) return [];
    return heavyFolders.map((folder) => ({ path: join(runsDirectory, run.run, folder), reason }));
  });
}

function uselessBecause(
  run: RunRecord,
  { limits, now, isNewest }: { readonly limits: RetentionLimits; readonly now: Date; readonly isNewest: boolean },
): string | undefined {
  if (run.state === 'rejected' && isOlder(run.finishedAt ?? run.plannedAt, limits.rejectedAdapterDays, now)) {
    return 'files of a candidate that the gate decided against';
  }
  // The newest run may still be taken up again by the next cycle.
  if (run.state === 'failed' && !isNewest && isOlder(run.plannedAt, limits.failedRunDays, now)) {
    return 'files of a training that failed and was not taken up again';
  }
  return undefined;
}

function* checkpointFolders({ ledger, runsDirectory, limits, now }: RetentionInput): Generator<string> {
  for (const { run, state, finishedAt } of ledger.runs.list(100_000)) {
    if (state !== 'promoted' && state !== 'rejected') continue;
    if (isOlder(finishedAt, limits.checkpointDays, now)) yield join(runsDirectory, run);
  }
}

async function checkpoints(input: RetentionInput): Promise<Removed[]> {
  const found: Removed[] = [];
  for (const run of checkpointFolders(input)) {
    const output = join(run, 'output');
    for (const name of await namesIn(output)) {
      if (/^checkpoint-\d+$/.test(name))
        found.push({ path: join(output, name), reason: 'state of a finished training' });
    }
    found.push({ path: join(run, 'broken'), reason: 'torn states of a finished training' });
  }
  return found;
}

/** Drafts of runs, partial downloads, copies and packages: hidden names that nobody has touched for a day. */
async function leftOvers({
  batchDirectory,
  runsDirectory,
  packagesDirectory,
  now,
}: RetentionInput): Promise<Removed[]> {
  const found: Removed[] = [];
  const places = [
    [batchDirectory, /^\..*\.tmp$/, 'partial batch file'],
    [packagesDirectory, /^\..*\.tmp$/, 'partial package'],
    [runsDirectory, /^\..*\.draft$/, 'draft of a training set'],
  ] as const;
  for (const [directory, pattern, reason] of places) {
    for (const name of await namesIn(directory)) {
      if (!pattern.test(name)) continue;
      const path = join(directory, name);
      const touched = await stat(path).catch(undefinedIfAbsent);
      if (touched !== undefined && isOlder(touched.mtime.toISOString(), abandonedDays, now))
        found.push({ path, reason });
    }
  }
  return found;
}

async function removeAll(candidates: Removed[] | Promise<Removed[]>): Promise<Removed[]> {
  const removed: Removed[] = [];
  for (const candidate of await candidates) {
    if ((await stat(candidate.path).catch(undefinedIfAbsent)) === undefined) continue;
    await rm(candidate.path, { recursive: true, force: true });
    removed.push(candidate);
  }
  return removed;
}

function isOlder(time: string | null, days: number, now: Date): boolean {
  return time !== null && now.getTime() - Date.parse(time) > days * dayMs;
}
