import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import pMap from 'p-map';

import { openQueue } from '../../src/syntx/queue/syntx-queue.js';
import type { Side } from '../side.js';

/** Files that were made just now count as still changing; the benchmark's do not. */
const later = () => new Date(Date.now() + 60_000);

/** Every scored job, as the producer and `tower evolution` read them. */
export const towerEvidence: Side = {
  prepare({ queue = '', jobs }) {
    const opened = openQueue(queue, { instance: 'bench', timeZone: 'UTC', now: later });
    return Promise.resolve(async () => {
      const found = await opened.scoredJobs();
      if (found.length !== jobs) throw new Error(`expected ${jobs} scored jobs, found ${found.length}`);
    });
  },
};

/** Every file is read and parsed. */
export const bareEvidence: Side = {
  prepare({ queue = '', jobs }) {
    const archive = join(queue, 'archive');
    return Promise.resolve(async () => {
      const names = (await readdir(archive)).filter((name) => name.endsWith('.json'));
      const read = async (name: string) =>
        (JSON.parse(await readFile(join(archive, name), 'utf8')) as { syntex_result: { wrapper: string } })
          .syntex_result;
      const found = await pMap(names, async (name) => (await read(name)).wrapper, { concurrency: 32 });
      if (found.length !== jobs) throw new Error(`expected ${jobs} scored jobs, found ${found.length}`);
    });
  },
};
