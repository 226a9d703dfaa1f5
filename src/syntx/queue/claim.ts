import { randomUUID } from 'node:crypto';

import { jobFacts, type JobFacts } from './job-facts.js';
import { leaseLost, type Lease, type LeaseOwner, type LeaseReference, type NotedFault } from './leases.js';
import type { Metadata } from './metadata.js';
import { freeSpot, isThere, moveJob } from './move.js';
import type { QueuePaths, Spot } from './queue-paths.js';
import type { QueueStore } from './queue-store.js';
import { readJobFiles, type JobFiles } from './read-job.js';
import { renameIfPresent } from './staged-write.js';

export interface ClaimRequest {
  readonly owner: LeaseOwner;
  /** Which of the owner's claims this is, for example its number. The same claim made again returns the same job. */
  readonly claim: string;
}

/** A job that its claimer may work on until its workflow is closed. */
export interface ClaimedJob extends LeaseReference {
  readonly prompt: string;
  readonly metadata: Metadata;
  readonly facts: JobFacts;
  /** What went wrong with it since it was claimed. */
  readonly faults: readonly NotedFault[];
}

/**
 * Claims the oldest waiting job by renaming it into `processing` (contract syntx 1.5); its lease is on disk before that. A job
 * that cannot be read is set aside in `.broken` and the next one is taken.
 *
 * @returns `undefined` when nothing waits.
 */
export async function claimNext(store: QueueStore, request: ClaimRequest): Promise<ClaimedJob | undefined> {
  return store.change(async () => {
    const leases = await store.leases.all();
    const earlier = leases.find((lease) => isSameClaim(lease, request));
    const again = earlier === undefined ? undefined : await resumeClaim(store, earlier);
    if (again !== undefined) return again;
    const leased = new Set(leases.map(({ baseName }) => baseName));
    await store.incoming.refresh();
    for (let baseName = store.incoming.take(); baseName !== undefined; baseName = store.incoming.take()) {
      const claimed = leased.has(baseName) ? undefined : await claim(store, baseName, request);
      if (claimed !== undefined) return claimed;
    }
    return undefined;
  });
}

/** The job of a lease, as whoever claimed it works on it. @throws TowerError `LEASE_LOST` */
export async function workOn(store: QueueStore, reference: LeaseReference): Promise<ClaimedJob> {
  return store.change(async () => {
    const job = await resumeClaim(store, await store.leases.require(reference));
    if (job === undefined) throw leaseLost(reference.baseName);
    return job;
  });
}

function isSameClaim({ owner, claim }: Lease, request: ClaimRequest): boolean {
  return (
    owner.workflowId === request.owner.workflowId && owner.runId === request.owner.runId && claim === request.claim
  );
}

/** Finishes a claim that was interrupted, or takes back what the original's cleanup took out of `processing`. */
async function resumeClaim(store: QueueStore, { baseName, token, faults }: Lease): Promise<ClaimedJob | undefined> {
  const files = (await moveIn(store, baseName)) ? await filesAt(store.paths, processing(baseName)) : undefined;
  if (files?.state === 'read') return { baseName, token, faults, ...described(store, baseName, files) };
  await store.leases.remove(baseName);
  return undefined;
}

async function claim(store: QueueStore, baseName: string, request: ClaimRequest): Promise<ClaimedJob | undefined> {
  const { paths, log } = store;
  // Two jobs of one name: the second waits until the first has left `processing`.
  if (await isThere(paths.prompt(processing(baseName)))) return undefined;
  const files = await filesAt(paths, incoming(baseName));
  if (files.state === 'absent') return undefined;
  if (files.state === 'broken') {
    await moveJob(paths, { from: incoming(baseName), to: await freeSpot(paths, { place: 'broken', baseName }) });
    log?.warn({ job: baseName, reason: files.fault }, 'job set aside in .broken: it cannot be read');
    return undefined;
  }
  const token = randomUUID();
  await store.leases.write({
    ...{ version: 1, baseName, token, owner: request.owner, claim: request.claim },
    ...{ instance: store.instance, claimedAt: store.now().toISOString(), faults: [] },
  });
  if (await moveIn(store, baseName)) return { baseName, token, faults: [], ...described(store, baseName, files) };
  await store.leases.remove(baseName);
  return undefined;
}

/** The rename of the prompt is the claim: of all programs that try it, one succeeds. */
async function moveIn(store: QueueStore, baseName: string): Promise<boolean> {
  const { paths } = store;
  const [from, to] = [incoming(baseName), processing(baseName)];
  const isIn = await isThere(paths.prompt(to));
  if (!isIn && !(await renameIfPresent(paths.prompt(from), paths.prompt(to)))) return false;
  if (!(await isDescribedElsewhere(paths, from, to))) await renameIfPresent(paths.metadata(from), paths.metadata(to));
  await store.sync(paths.directory('processing'), paths.directory('incoming'));
  return true;
}

/** Metadata in `incoming` belongs to the prompt there, if there is one; metadata in `processing` is not replaced. */
async function isDescribedElsewhere(paths: QueuePaths, from: Spot, to: Spot): Promise<boolean> {
  return (await isThere(paths.prompt(from))) || (await isThere(paths.metadata(to)));
}

async function filesAt(paths: QueuePaths, spot: Spot): Promise<JobFiles> {
  return readJobFiles(paths.prompt(spot), paths.metadata(spot));
}

function described(store: QueueStore, baseName: string, files: { prompt: string; metadata: Metadata }) {
  const { prompt, metadata } = files;
  return { prompt, metadata, facts: jobFacts(baseName, metadata, store.timeZone) };
}

function incoming(baseName: string): Spot {
  return { place: 'incoming', baseName };
}

function processing(baseName: string): Spot {
  return { place: 'processing', baseName };
}
