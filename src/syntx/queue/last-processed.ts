import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import pMap from 'p-map';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import { isMetadataFile } from './job-name.js';
import { instantOf } from './local-time.js';
import { readMetadata } from './metadata.js';
import type { QueueStore } from './queue-store.js';

const lookedAtTogether = 64;

/**
 * When the newest job came into `processed` until then, archived ones included, in milliseconds since 1970; `undefined` if none ever
 * did. A time to come, which a wrong clock has written, says nothing.
 * A file is never older than what it says, so only the newest files have to be read.
 */
export async function lastProcessedAt(store: QueueStore, until: number): Promise<number | undefined> {
  return store.look(async () => {
    const files: { path: string; modifiedAt: number }[] = [];
    for (const stage of ['processed', 'archive'] as const) {
      const directory = store.paths.directory(stage);
      const paths = (await namesIn(directory)).filter(isMetadataFile).map((name) => join(directory, name));
      const looked = await pMap(paths, modified, { concurrency: lookedAtTogether });
      files.push(...looked.filter((file) => file !== undefined));
    }
    files.sort((a, b) => b.modifiedAt - a.modifiedAt);
    let newest: number | undefined;
    for (let start = 0; start < files.length; start += lookedAtTogether) {
      const together = files.slice(start, start + lookedAtTogether);
      if (newest !== undefined && (together[0]?.modifiedAt ?? 0) <= newest) break;
      const times = await Promise.all(together.map(async ({ path }) => processedAt(store, path)));
      for (const at of times) if (at !== undefined && at <= until) newest = Math.max(at, newest ?? at);
    }
    return newest;
  });
}

async function modified(path: string): Promise<{ path: string; modifiedAt: number } | undefined> {
  const found = await stat(path).catch(undefinedIfAbsent);
  return found === undefined ? undefined : { path, modifiedAt: found.mtimeMs };
}

async function processedAt(store: QueueStore, path: string): Promise<number | undefined> {
  const found = await readMetadata(path);
  return found.state === 'read' ? instantOf(found.metadata['processed_at'], store.timeZone) : undefined;
}
