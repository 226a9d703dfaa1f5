import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import { isMeant, type Tidied, type TidyOptions } from '../queue/tidy.js';

/**
 * Deletes the folders of old producer runs. One that has prompts which are not in the queue yet was paid for, and stays however old
 * it is: the next producer publishes it.
 *
 * @param directory has a folder for each run.
 */
export async function removeOldRuns(
  directory: string,
  options: TidyOptions & { readonly now: Date },
): Promise<Tidied[]> {
  const { olderThanMs, dryRun, now } = options;
  const removed: Tidied[] = [];
  for (const name of (await namesIn(directory)).sort()) {
    const path = join(directory, name);
    if (!isMeant(path, options)) continue;
    const ageMs = now.getTime() - (await lastChange(path));
    if (ageMs <= olderThanMs || (await hasUnpublished(path))) continue;
    if (!dryRun) await rm(path, { recursive: true, force: true });
    removed.push({ path, ageMs });
  }
  return removed;
}

async function hasUnpublished(run: string): Promise<boolean> {
  const isPublished = (await namesIn(run)).includes('published.json');
  return !isPublished && (await namesIn(join(run, 'prompts'))).length > 0;
}

/** Milliseconds since 1970; of a folder without files, its own. */
async function lastChange(run: string): Promise<number> {
  const paths = [run, ...(await namesIn(run)).map((name) => join(run, name))];
  const times = await Promise.all(paths.map(async (path) => (await stat(path).catch(undefinedIfAbsent))?.mtimeMs ?? 0));
  return Math.max(...times);
}
