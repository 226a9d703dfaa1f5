import { join } from 'node:path';

import { z } from 'zod';

import { openRun } from '../../character/character-run.js';
import { TowerError } from '../../errors.js';
import { readJsonIfExists } from '../../files/read-json.js';
import { listRuns } from '../../training/list-runs.js';

/** A run of this machine that the server does not know any more: its history is over, or its database was deleted. */
export interface RunOnDisk {
  readonly run: string;
  readonly name: string;
  readonly priority: string;
  /** `unfinished`: it has recorded no end. */
  readonly status: string;
  readonly endedAt: string | null;
  readonly dataset: string;
}

const outcomeSchema = z.looseObject({ outcome: z.string(), endedAt: z.iso.datetime() });

/** The newest of each character last. Folders of runs that were not prepared to their end are left out. */
export async function runsOnDisk(runsDirectory: string, known: ReadonlySet<string>): Promise<RunOnDisk[]> {
  const found: RunOnDisk[] = [];
  for (const run of (await listRuns(runsDirectory)).filter((name) => /^character_.+_v\d+$/.test(name))) {
    if (known.has(run)) continue;
    const opened = await openRun(join(runsDirectory, run)).catch(undefinedIfUnprepared);
    if (opened === undefined) continue;
    const { job, paths, dataset } = opened;
    const end = await readJsonIfExists(paths.outcome, outcomeSchema);
    const { outcome: status = 'unfinished', endedAt = null } = end ?? {};
    found.push({ run, name: job.name, priority: job.priority, status, endedAt, dataset: dataset.folder });
  }
  return found;
}

function undefinedIfUnprepared(error: unknown): undefined {
  if (error instanceof TowerError && error.code === 'NOT_FOUND') return undefined;
  throw error;
}
