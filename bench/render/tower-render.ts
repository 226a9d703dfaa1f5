import { join } from 'node:path';

import { pino } from 'pino';

import { makeRun } from '../../src/activities/character/prepare-run.js';
import { renderDataset } from '../../src/activities/character/render-dataset.js';
import { characterJobSchema } from '../../src/character/job.js';
import { createComfyuiClient } from '../../src/comfyui/client.js';
import type { Side } from '../side.js';

/** What the activity `renderCharacter` does between taking the GPU and giving it back: each image is checked, and in the journal. */
export const towerRender: Side = {
  async prepare({ directory, address = '', images = 0 }) {
    const job = characterJobSchema.parse({ name: 'Knight', description: 'a knight', count: images });
    const run = await makeRun({
      ...{ job, datasets: join(directory, 'datasets'), runs: join(directory, 'runs') },
      ...{ owner: 'bench', run: undefined },
    });
    const log = pino({ level: 'warn' }, process.stderr);
    const client = createComfyuiClient({ baseUrl: address, log });
    return async () => {
      const { signal } = new AbortController();
      const rendering = { run, client, awayMs: 60_000, shouldStop: () => undefined };
      const { accepted, rejected } = await renderDataset(rendering, { signal, log });
      if (accepted !== images || rejected > 0) {
        throw new Error(`expected ${images} images, found ${accepted} and ${rejected} rejected ones`);
      }
    };
  },
};
