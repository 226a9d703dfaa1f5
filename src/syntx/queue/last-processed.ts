import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import { isMetadataFile } from './job-name.js';
import { instantOf } from './local-time.js';
import { readMetadata } from './metadata.js';
import type { QueueStore } from './queue-store.js';

/**
 * When the newest job came into `processed`, archived ones included, in milliseconds since 1970; `undefined` if none ever did.
 * A file is never older than what it says, so only the newest files have to be read.
 */
export async function lastProcessedAt(store: QueueStore): Promise<number | undefined> {
  return store.look(async () => {
    const files: { path: string; modifiedAt: number }[] = [];
    for (const stage of ['processed', 'archive'] as const) {
      const directory = store.paths.directory(stage);
      for (const name of (await namesIn(directory)).filter(isMetadataFile)) {
        const path = join(directory, name);
        const found = await stat(path).catch(undefinedIfAbsent);
        if (found !== undefined) files.push({ path, modifiedAt: found.mtimeMs });
      }
    }
    files.sort((a, b) => b.modifiedAt - a.modifiedAt);
    let newest: number | undefined;
    for (const { path, modifiedAt } of files) {
      if (newest !== undefined && modifiedAt <= newest) break;
      const found = await readMetadata(path);
      const at = found.state === 'read' ? instantOf(found.metadata['processed_at'], store.timeZone) : undefined;
      if (at !== undefined && at > (newest ?? -Infinity)) newest = at;
    }
    return newest;
  });
}
