import { join } from 'node:path';

import { z } from 'zod';

import { openRun } from '../../character/character-run.js';
import { describeError, TowerError } from '../../errors.js';
import { readJsonIfExists } from '../../files/read-json.js';
import { listRuns } from '../../training/list-runs.js';

/** A run of this machine that the server does not know any more: its history is over, or its database was deleted. */
export interface RunOnDisk {
  readonly run: string;
  readonly name: string;
  readonly priority: string;
  /** `unfinished`: it has recorded no end; `unreadable`: a file of it is damaged. */
  readonly status: string;
  readonly endedAt: string | null;
  readonly dataset: string | null;
  /** Which file of an `unreadable` one, and what to do. */
  readonly fault: string | null;
}

const outcomeSchema = z.looseObject({ outcome: z.string(), endedAt: z.iso.datetime() });

/** The newest of each character last. Folders of runs that were not prepared to their end are left out. */
export async function runsOnDisk(runsDirectory: string, known: ReadonlySet<string>): Promise<RunOnDisk[]> {
  const found: RunOnDisk[] = [];
  for (const run of (await listRuns(runsDirectory)).filter((name) => /^character_.+_v\d+$/.test(name))) {
    if (known.has(run)) continue;
    try {
      found.push(await readRun(run, join(runsDirectory, run)));
    } catch (error) {
      if (error instanceof TowerError && error.code === 'NOT_FOUND') continue;
      // One damaged file must not hide all other runs.
      found.push(unreadable(run, error));
    }
  }
  return found;
}

/** @throws TowerError `NOT_FOUND` for a run that was not prepared to its end, `FILE_INVALID` */
async function readRun(run: string, directory: string): Promise<RunOnDisk> {
  const { job, paths, dataset } = await openRun(directory);
  const end = await readJsonIfExists(paths.outcome, outcomeSchema);
  const { outcome: status = 'unfinished', endedAt = null } = end ?? {};
  return { run, name: job.name, priority: job.priority, status, endedAt, dataset: dataset.folder, fault: null };
}

function unreadable(run: string, error: unknown): RunOnDisk {
  const known = error instanceof TowerError && error.next !== undefined;
  const fault = known ? `${error.message}. ${error.next}` : describeError(error);
  return { run, name: '-', priority: '-', status: 'unreadable', endedAt: null, dataset: null, fault };
}
