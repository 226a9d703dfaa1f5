import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';

import { namesIn } from '../../files/absent.js';
import { syncDirectory } from '../../files/durable-write.js';
import { jobFacts, type JobFacts } from './job-facts.js';
import { baseNameOf, fitsFiles, isPromptFile } from './job-name.js';
import { leaseLost, type Lease, type LeaseOwner, type LeaseReference, type Leases, type NotedFault } from './leases.js';
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
 * Claims the oldest waiting job by renaming it out of `incoming` (contract syntx 1.5); its lease is on disk before it appears in
 * `processing`. A job
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
    const { incoming } = store;
    await incoming.beginClaim();
    for (let baseName = await incoming.take(); baseName !== undefined; baseName = await incoming.take()) {
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

const nameTooLong = { state: 'broken', fault: 'its name leaves no room for the names of its other files' } as const;

function isSameClaim({ owner, claim }: Lease, request: ClaimRequest): boolean {
  return (
    owner.workflowId === request.owner.workflowId && owner.runId === request.owner.runId && claim === request.claim
  );
}

/**
 * Under the queue's lock: the lease under which a claim may still settle its job. A lease whose job others have taken away is
 * dropped, with the stored answer, which belongs to nothing any more.
 *
 * @returns `undefined` when this claim has settled the job already, or lost it.
 * @throws TowerError `LEASE_LOST` when others have just been found to have the job.
 */
export async function leaseInForce(store: QueueStore, { baseName, token }: LeaseReference): Promise<Lease | undefined> {
  const lease = await store.leases.of(baseName);
  if (lease?.token !== token) return undefined;
  if (await moveIn(store, baseName)) return lease;
  await dropClaim(store, baseName);
  throw leaseLost(baseName);
}

/** Finishes a claim that was interrupted, or takes back what the original's cleanup took out of `processing`. */
async function resumeClaim(store: QueueStore, { baseName, token, faults }: Lease): Promise<ClaimedJob | undefined> {
  if (!(await moveIn(store, baseName))) {
    await dropClaim(store, baseName);
    return undefined;
  }
  const files = await filesAt(store.paths, processing(baseName));
  if (files.state === 'read') return { baseName, token, faults, ...described(store, baseName, files) };
  await store.leases.remove(baseName);
  return undefined;
}

async function dropClaim({ paths, leases }: QueueStore, baseName: string): Promise<void> {
  await rm(paths.answer(baseName), { force: true });
  await leases.remove(baseName);
}

async function claim(store: QueueStore, baseName: string, request: ClaimRequest): Promise<ClaimedJob | undefined> {
  const { paths, log } = store;
  // Two jobs of one name: the second waits until the first has left `processing`.
  if (await isThere(paths.prompt(processing(baseName)))) return undefined;
  const files = fitsFiles(baseName) ? await filesAt(paths, waiting(baseName)) : nameTooLong;
  if (files.state === 'absent') return undefined;
  if (files.state === 'broken') {
    await moveJob(paths, { from: waiting(baseName), to: await freeSpot(paths, { place: 'broken', baseName }) });
    log?.warn({ job: baseName, reason: files.fault }, 'job set aside in .broken: it cannot be read');
    return undefined;
  }
  if (!(await take(paths, baseName))) return undefined;
  const token = randomUUID();
  await store.leases.write({
    ...{ version: 1, baseName, token, owner: request.owner, claim: request.claim },
    ...{ instance: store.instance, claimedAt: store.now().toISOString(), faults: [] },
  });
  await arrive(paths, baseName);
  return { baseName, token, faults: [], ...described(store, baseName, files) };
}

/** A leased job is where it is worked on, or, after the original's cleanup, in `incoming`, from where it is taken again. */
async function moveIn({ paths }: QueueStore, baseName: string): Promise<boolean> {
  const spot = processing(baseName);
  const isIn = await isThere(paths.prompt(spot));
  if (isIn && (await isThere(paths.metadata(spot)))) return true;
  if (!isIn && !(await take(paths, baseName))) return false;
  await arrive(paths, baseName);
  return true;
}

/**
 * The rename of the prompt is the claim: of all programs that try it, one succeeds. It goes to a place where only Tower puts
 * anything: a prompt in `processing` may as well be there because a consumer of the original came first.
 */
async function take(paths: QueuePaths, baseName: string): Promise<boolean> {
  const isTaken = await renameIfPresent(paths.prompt(waiting(baseName)), paths.claim(baseName));
  if (isTaken) for (const directory of [paths.claims, paths.directory('incoming')]) await syncDirectory(directory);
  return isTaken;
}

/** Brings a job that was taken and has its lease to where it is worked on. */
async function arrive(paths: QueuePaths, baseName: string): Promise<void> {
  const [from, to] = [waiting(baseName), processing(baseName)];
  // The prompt last: until then whoever comes next finds the claim unfinished.
  if (!(await isDescribedElsewhere(paths, from, to))) await renameIfPresent(paths.metadata(from), paths.metadata(to));
  await renameIfPresent(paths.claim(baseName), paths.prompt(to));
  for (const place of ['processing', 'incoming'] as const) await syncDirectory(paths.directory(place));
  await syncDirectory(paths.claims);
}

/** Finishes claims that were interrupted: a job that has its lease arrives, another one waits again. Under the queue's lock. */
export async function finishClaims(paths: QueuePaths, leases: Leases): Promise<void> {
  for (const baseName of (await namesIn(paths.claims)).filter(isPromptFile).map(baseNameOf)) {
    if ((await leases.of(baseName)) !== undefined) {
      await arrive(paths, baseName);
      continue;
    }
    const isFree = !(await isThere(paths.prompt(waiting(baseName))));
    const to = isFree ? waiting(baseName) : await freeSpot(paths, waiting(baseName));
    await renameIfPresent(paths.claim(baseName), paths.prompt(to));
    await syncDirectory(paths.directory('incoming'));
  }
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

function waiting(baseName: string): Spot {
  return { place: 'incoming', baseName };
}

function processing(baseName: string): Spot {
  return { place: 'processing', baseName };
}
