import { rm } from 'node:fs/promises';

import { z } from 'zod';

import { TowerError } from '../../errors.js';
import { namesIn } from '../../files/absent.js';
import { syncDirectory } from '../../files/durable-write.js';
import { readJsonIfExists } from '../../files/read-json.js';
import { isMetadataFile } from './job-name.js';
import type { QueuePaths } from './queue-paths.js';
import { writeStaged } from './staged-write.js';

const ownerSchema = z.object({ workflowId: z.string(), runId: z.string() });

/** The workflow run that a claimed job belongs to. Its being open is the only sign of life: a lease has no heartbeat. */
export type LeaseOwner = z.output<typeof ownerSchema>;

const leaseSchema = z.object({
  version: z.literal(1),
  baseName: z.string(),
  /** New for every claim. */
  token: z.string(),
  owner: ownerSchema,
  /** Which of the owner's claims this is: the same claim made again finds the same job. */
  claim: z.string(),
  /** The Tower that claimed it. */
  instance: z.string(),
  /** ISO 8601 UTC. */
  claimedAt: z.string(),
  /** What went wrong with it so far, oldest first. */
  faults: z.array(
    z.object({
      ...{ kind: z.string(), error: z.string(), detail: z.string(), at: z.string() },
      /** How long the call took, in milliseconds; missing in leases of older versions. */
      durationMs: z.int().nonnegative().optional(),
      /** Of a fault that is an exception in the original. */
      exceptionType: z.string().optional(),
      /** What the service asked for, in milliseconds. */
      retryAfterMs: z.number().nonnegative().optional(),
    }),
  ),
});

/** `.tower/leases/B.json`: who works on job B, which lies in `processing`. */
export type Lease = z.output<typeof leaseSchema>;
export type NotedFault = Lease['faults'][number];

/** What names a lease in the history of a workflow: the job, and the claim of it that counts. */
export interface LeaseReference {
  readonly baseName: string;
  readonly token: string;
}

/** Lease files. All calls are made under the queue's lock. */
export class Leases {
  readonly #paths: QueuePaths;

  constructor(paths: QueuePaths) {
    this.#paths = paths;
  }

  async of(baseName: string): Promise<Lease | undefined> {
    return readJsonIfExists(this.#paths.lease(baseName), leaseSchema);
  }

  async all(): Promise<Lease[]> {
    const names = (await namesIn(this.#paths.leases)).filter(isMetadataFile).sort();
    const leases = await Promise.all(names.map((name) => this.of(name.slice(0, -'.json'.length))));
    return leases.filter((lease) => lease !== undefined);
  }

  async write(lease: Lease): Promise<void> {
    await writeStaged(this.#paths.staging, this.#paths.lease(lease.baseName), `${JSON.stringify(lease, null, 2)}\n`);
    await syncDirectory(this.#paths.leases);
  }

  async remove(baseName: string): Promise<void> {
    await rm(this.#paths.lease(baseName), { force: true });
    await syncDirectory(this.#paths.leases);
  }

  /** @throws TowerError `LEASE_LOST` when the job is not, or no longer, held by this very claim. */
  async require({ baseName, token }: LeaseReference): Promise<Lease> {
    const lease = await this.of(baseName);
    if (lease?.token !== token) throw leaseLost(baseName);
    return lease;
  }
}

export function leaseLost(baseName: string): TowerError {
  return new TowerError('LEASE_LOST', `${baseName} is no longer held by this run; another may have it`, {
    details: { job: baseName },
    next: 'Nothing: another program has done the job, or it waits again and is done by whoever claims it next.',
  });
}
