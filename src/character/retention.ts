import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import { exists } from '../files/exists.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { Log } from '../log/logger.js';
import { readRunOwner, type RunOwner } from '../training/run-owner.js';
import { listRuns } from '../training/list-runs.js';
import { livingLaunches } from '../training/launch-record.js';
import { runDirectory } from '../training/run-directory.js';
import { draftPrefix } from './dataset.js';
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
  /** Whether the workflow that a run belongs to is open. @throws when nobody can tell. */
  readonly isOpen: (owner: RunOwner) => Promise<boolean>;
}

const dayMs = 86_400_000;

/** `outcome.json`, as far as it matters here. */
const outcomeSchema = z.looseObject({ outcome: z.string(), endedAt: z.iso.datetime() });

/**
 * Removes what nobody needs any more of character runs (weakness W18): saved states of finished trainings, everything that
 * the trainer has written for a run that ended before its training was finished and was not taken up again, and folders that a
 * crash left in the making. LoRAs of a finished training, samples, records and datasets stay. Repeatable.
 *
 * @returns how many files and folders were removed.
 */
export async function applyCharacterRetention(
  { runsDirectory, limits, now, isOpen }: CharacterRetentionInput,
  { log }: { readonly log: Log },
): Promise<number> {
  let removed = await removeOldDrafts(runsDirectory, now);
  for (const run of await listRuns(runsDirectory)) {
    const directory = join(runsDirectory, run);
    const paths = characterRunPaths(directory);
    if ((await stat(paths.job).catch(undefinedIfAbsent)) === undefined) continue;
    const records = await readRecords(directory).catch((error: unknown) => {
      // One damaged file must not end the clean-up of all other runs.
      log.warn({ err: error, run }, 'retention leaves this run alone: a record of it is unreadable');
    });
    if (records === undefined || records.living) continue;
    const { owner, recorded } = records;
    if (owner !== undefined && (await isOpen(owner))) continue;
    const end = recorded ?? (owner === undefined ? undefined : await unrecordedEnd(directory));
    if (end === undefined) continue;
    const age = now.getTime() - Date.parse(end.endedAt);
    // However the run ended: one that goes on does not train again, and takes what the training has left.
    const finished =
      end.outcome === 'succeeded' || end.outcome === 'simulated' || (await exists(runDirectory(directory).settled));
    if (age <= (finished ? limits.checkpointDays : limits.failedRunDays) * dayMs) continue;
    for (const path of await uselessIn(directory, finished)) {
      await rm(path, { recursive: true, force: true });
      log.info({ path, run }, 'removed by retention');
      removed += 1;
    }
  }
  return removed;
}

/** What tells whether a run goes on, and how it ended. @throws TowerError `FILE_INVALID` */
async function readRecords(directory: string) {
  const files = runDirectory(directory);
  const owner = await readRunOwner(files);
  const living = (await livingLaunches(files)).length > 0;
  return { owner, living, recorded: await readJsonIfExists(characterRunPaths(directory).outcome, outcomeSchema) };
}

/** The end of a run whose workflow was terminated or deleted: nobody has recorded it. */
async function unrecordedEnd(directory: string): Promise<z.output<typeof outcomeSchema>> {
  const { mtime } = await stat(directory);
  return { outcome: 'terminated', endedAt: mtime.toISOString() };
}

/** A reservation takes a moment; what is a day old is nobody's. */
async function removeOldDrafts(runsDirectory: string, now: Date): Promise<number> {
  let removed = 0;
  for (const name of (await namesIn(runsDirectory)).filter((candidate) => candidate.startsWith(draftPrefix))) {
    const path = join(runsDirectory, name);
    const found = await stat(path).catch(undefinedIfAbsent);
    if (found === undefined || now.getTime() - found.mtimeMs < dayMs) continue;
    await rm(path, { recursive: true, force: true });
    removed += 1;
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
