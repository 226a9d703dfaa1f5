import { WorkflowNotFoundError, type Client } from '@temporalio/client';

import type { Config } from '../../config/schema.js';
import type { SyntxConfig } from '../../config/syntx-section.js';
import { openSyntx, type SyntxFiles } from '../../syntx/open-syntx.js';
import type { TakenBack } from '../../syntx/queue/give-back.js';
import type { LeaseOwner } from '../../syntx/queue/leases.js';
import type { WorkerEnvironment } from '../worker-environment.js';

const hour = 3_600_000;

/** The queue directory and its logs, opened when first needed and kept for the life of the process. */
export class QueueAccess {
  readonly #environment: WorkerEnvironment;
  #files: SyntxFiles | undefined;

  constructor(environment: WorkerEnvironment) {
    this.#environment = environment;
  }

  /** @throws TowerError `SYNTX_NOT_CONFIGURED` */
  get files(): SyntxFiles {
    const { config, paths, host, log } = this.#environment;
    this.#files ??= openSyntx({ config, home: paths.home, host, log });
    return this.#files;
  }

  get settings(): SyntxConfig {
    return this.#environment.config.syntx;
  }

  get config(): Config {
    return this.#environment.config;
  }

  /** Jobs in `processing` that nobody works on go back to `incoming`. */
  async takeBack(): Promise<TakenBack[]> {
    const { client } = this.#environment;
    return this.files.queue.takeBack({
      isOpen: (owner) => isOpen(client, owner),
      foreignAfterMs: this.settings.foreignHours * hour,
    });
  }
}

/** A workflow that the server does not know is none: its database may have been deleted. */
async function isOpen(client: Client, { workflowId, runId }: LeaseOwner): Promise<boolean> {
  try {
    const { status } = await client.workflow.getHandle(workflowId, runId).describe();
    return status.name === 'RUNNING';
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}
