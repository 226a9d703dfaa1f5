import type { Client } from '@temporalio/client';

import type { Config } from '../config/schema.js';
import type { StatePaths } from '../config/state-paths.js';
import type { Log } from '../log/logger.js';

/** What the activities of one worker process share. */
export interface WorkerEnvironment {
  readonly config: Config;
  readonly paths: StatePaths;
  /** Name of this machine in task queues. */
  readonly host: string;
  readonly log: Log;
  /** Reads the Signz-Mind key at the time of use. */
  readonly readApiKey: () => Promise<string>;
  readonly client: Client;
}
