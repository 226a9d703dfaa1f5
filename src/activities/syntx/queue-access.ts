import { WorkflowNotFoundError, type Client } from '@temporalio/client';

import type { SyntxConfig } from '../../config/syntx-section.js';
import { openSyntx, type SyntxFiles } from '../../syntx/open-syntx.js';
import type { TakenBack } from '../../syntx/queue/give-back.js';
import type { LeaseOwner } from '../../syntx/queue/leases.js';
import { CallTurns } from '../../syntx/wrapper/call-turns.js';
import { UnstoredEnds } from '../../syntx/wrapper/unstored-ends.js';
import { WrapperClient } from '../../syntx/wrapper/wrapper-client.js';
import type { WorkerEnvironment } from '../worker-environment.js';

const hour = 3_600_000;

/** The queue directory and its logs, opened when first needed and kept for the life of the process. */
export class QueueAccess {
  readonly #environment: WorkerEnvironment;
  readonly unstored = new UnstoredEnds();
  #files: SyntxFiles | undefined;
  #wrapper: WrapperClient | undefined;
  #turns: CallTurns | undefined;

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

  /** One for all calls, because it remembers at which path the service works. */
  get wrapper(): WrapperClient {
    this.#wrapper ??= this.#openWrapper();
    return this.#wrapper;
  }

  /** One for all runs: the limit is the service's, not theirs. */
  get turns(): CallTurns {
    const { consume, wrapper } = this.settings;
    this.#turns ??= new CallTurns(consume.parallel, { limitMs: callLimitMs(wrapper) });
    return this.#turns;
  }

  #openWrapper(): WrapperClient {
    const { syntx } = this.#environment.config;
    const { url, path, timeoutSeconds, maxNewTokens, temperature, topP } = syntx.wrapper;
    return new WrapperClient({
      ...{ url, timeoutMs: timeoutSeconds * 1000 },
      parameters: { maxNewTokens, temperature, topP },
      ...(path !== undefined && { path }),
    });
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

/** Longest time for one call, which may go to both paths; a turn is not waited for any longer. */
export function callLimitMs({ timeoutSeconds }: SyntxConfig['wrapper']): number {
  return 2 * timeoutSeconds * 1000;
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
