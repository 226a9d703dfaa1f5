import { basename, dirname, extname, join } from 'node:path';

import { z } from 'zod';

import { TowerError } from '../errors.js';
import { namesIn } from '../files/absent.js';
import { renameDurable } from '../files/durable-write.js';
import { exists } from '../files/exists.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { Log } from '../log/logger.js';
import { Turns } from '../turns.js';
import type { DatasetPaths } from './run-paths.js';

/** Every `tagging_results.json` of Tower names the run that has written it; that of the original has no such key. */
const ownResultsSchema = z.looseObject({
  run: z.string().startsWith('character_'),
  tagged_files: z.array(z.unknown()),
});

/** Two runs may caption one folder: of a file that both find, the second would replace what the first has kept. */
const settingAside = new Turns();

const asideName = /\.before-tower(-\d+)?\.\w+$/;

/**
 * Keeps the contact sheets of somebody else, in a folder in which Tower has not captioned before, under another name. To be called
 * before Tower leaves its first trace there.
 */
export async function setContactSheetsAside(
  { folder, mark, captionJournal, taggingResults }: DatasetPaths,
  log: Log,
): Promise<void> {
  return settingAside.take(async () => {
    if ((await exists(mark)) || (await exists(captionJournal)) || (await isOwnResults(taggingResults))) return;
    const sheets = (await namesIn(folder)).filter((name) => /^contact-sheet(-\d{3,})?\.jpg$/.test(name));
    for (const name of sheets) await setAside(join(folder, name), log);
  });
}

/**
 * Keeps a `tagging_results.json` that Tower has not written under another name. To be called when all captions are on record, because
 * until then that file tells whose they are.
 */
export async function setTaggingResultsAside({ taggingResults }: DatasetPaths, log: Log): Promise<void> {
  return settingAside.take(async () => {
    if ((await exists(taggingResults)) && !(await isOwnResults(taggingResults))) await setAside(taggingResults, log);
  });
}

/** Names of what was set aside in a folder, sorted. */
export async function namesSetAside({ folder }: DatasetPaths): Promise<string[]> {
  return (await namesIn(folder)).filter((name) => asideName.test(name)).sort();
}

async function isOwnResults(path: string): Promise<boolean> {
  try {
    return (await readJsonIfExists(path, ownResultsSchema)) !== undefined;
  } catch (error) {
    if (error instanceof TowerError && error.code === 'FILE_INVALID') return false;
    // Even a folder may have that name.
    if ((error as NodeJS.ErrnoException).code === 'EISDIR') return false;
    throw error;
  }
}

/** `results.json` becomes `results.before-tower.json`, the next one `results.before-tower-2.json`. */
async function setAside(path: string, log: Log): Promise<void> {
  const extension = extname(path);
  const stem = join(dirname(path), basename(path, extension));
  let target = `${stem}.before-tower${extension}`;
  for (let number = 2; await exists(target); number += 1) target = `${stem}.before-tower-${number}${extension}`;
  await renameDurable(path, target);
  log.warn({ path, keptAs: target }, 'a file of another program stood where Tower writes its own, and is kept');
}
