import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { Log } from '../log/logger.js';
import { listRuns } from '../training/list-runs.js';
import { livingLaunches } from '../training/launch-record.js';
import { runDirectory } from '../training/run-directory.js';
import { characterRunPaths } from './run-paths.js';

/** How long what is kept, in days. */
export interface CharacterRetention {
  readonly checkpointDays: number;
  readonly failedRunDays: number;
}

export interface CharacterRetentionInput {
  readonly runsDirectory: string;
  readonly limits: CharacterRetention;
  readonly now: Date;
}

const dayMs = 86_400_000;

/** `outcome.json`, as far as it matters here. */
const outcomeSchema = z.looseObject({ outcome: z.string(), endedAt: z.iso.datetime() });

/**
 * Removes what nobody needs any more of character runs (weakness W18): saved states of finished trainings, and everything that
 * the trainer has written for a run that failed or was cancelled and was not taken up again. LoRAs of the epochs, samples,
 * records and datasets stay. Repeatable.
 *
 * @returns how many files and folders were removed.
 */
export async function applyCharacterRetention(
  { runsDirectory, limits, now }: CharacterRetentionInput,
  { log }: { readonly log: Log },
): Promise<number> {
  let removed = 0;
  for (const run of await listRuns(runsDirectory)) {
    const directory = join(runsDirectory, run);
    const paths = characterRunPaths(directory);
    if ((await stat(paths.job).catch(undefinedIfAbsent)) === undefined) continue;
    const end = await readJsonIfExists(paths.outcome, outcomeSchema);
    if (end === undefined || (await livingLaunches(runDirectory(directory))).length > 0) continue;
    const age = now.getTime() - Date.parse(end.endedAt);
    const finished = end.outcome === 'succeeded' || end.outcome === 'simulated';
    if (age <= (finished ? limits.checkpointDays : limits.failedRunDays) * dayMs) continue;
    for (const path of await uselessIn(directory, finished)) {
      await rm(path, { recursive: true, force: true });
      log.info({ path, run }, 'removed by retention');
      removed += 1;
    }
  }
  return removed;
}

async function uselessIn(directory: string, finished: boolean): Promise<string[]> {
  const outputs = (await namesIn(directory)).filter((name) => /^output(-rung-\d+)?$/.test(name));
  const broken = (await namesIn(directory)).filter((name) => name === 'broken');
  const paths = [...broken, ...(finished ? [] : outputs)].map((name) => join(directory, name));
  if (!finished) return paths;
  for (const output of outputs) {
    const entries = await readdir(join(directory, output), { withFileTypes: true });
    const states = entries.filter((entry) => entry.isDirectory() && entry.name.endsWith('-state'));
    paths.push(...states.map(({ name }) => join(directory, output, name)));
  }
  return paths;
}
