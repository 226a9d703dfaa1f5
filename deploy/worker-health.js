// Health check of a worker container: the server has heard of a worker of this container lately.
import { hostname } from 'node:os';

import { withClient } from '../dist/cli/temporal-client.js';
import { listLivingWorkers } from '../dist/temporal/living-workers.js';

const workers = await withClient({ home: process.env.TOWER_HOME ?? '' }, ({ client }) => listLivingWorkers(client));
if (!workers.some(({ identity }) => identity.includes(`@${hostname()}:`))) {
  console.error(`no heartbeat of a worker on ${hostname()}`);
  process.exitCode = 1;
}
