import { stat } from 'node:fs/promises';

import { namesIn, undefinedIfAbsent } from '../../files/absent.js';
import { baseNameOf, isPromptFile } from './job-name.js';
import type { Lease, LeaseOwner, LeaseReference } from './leases.js';
import { freeSpot, isThere, moveJob } from './move.js';
import type { QueueStore } from './queue-store.js';

export interface TakeBackOptions {
  /** Whether the workflow run is still open. Asked only about leases of this Tower. */
  readonly isOpen: (owner: LeaseOwner) => Promise<boolean>;
  /** Jobs in `processing` that are not this Tower's go back after so long, in milliseconds. */
  readonly foreignAfterMs: number;
}

export interface TakenBack {
  readonly baseName: string;
  readonly reason: string;
}

/** Gives a claimed job back to `incoming`, unchanged; a stored answer stays for whoever claims it next. */
export async function giveBack(store: QueueStore, reference: LeaseReference): Promise<void> {
  await store.change(async () => {
    const lease = await store.leases.of(reference.baseName);
    if (lease?.token === reference.token) await endLease(store, lease);
  });
}

/**
 * Takes back jobs that nobody works on any more: those of this Tower whose workflow run is closed, at once; all others after
 * an age, counted from when they came into `processing`.
 */
export async function takeBack(store: QueueStore, options: TakeBackOptions): Promise<TakenBack[]> {
  const leases = await store.change(() => store.leases.all());
  const taken: TakenBack[] = [];
  for (const lease of leases) {
    const reason = await reasonToEnd(store, lease, options);
    if (reason === undefined) continue;
    const ended = await store.change(async () => {
      const present = await store.leases.of(lease.baseName);
      return present?.token === lease.token && (await endLease(store, present));
    });
    if (ended) taken.push({ baseName: lease.baseName, reason });
  }
  taken.push(...(await takeBackUnleased(store, options.foreignAfterMs)));
  for (const { baseName, reason } of taken) store.log?.warn({ job: baseName, reason }, 'job taken back');
  return taken;
}

async function reasonToEnd(
  store: QueueStore,
  { instance, owner, claimedAt }: Lease,
  { isOpen, foreignAfterMs }: TakeBackOptions,
): Promise<string | undefined> {
  if (instance === store.instance) {
    return (await isOpen(owner)) ? undefined : `its workflow ${owner.workflowId} is closed`;
  }
  const ageMs = store.now().getTime() - Date.parse(claimedAt);
  return ageMs > foreignAfterMs ? `another Tower (${instance}) has held it for ${hours(ageMs)} h` : undefined;
}

async function takeBackUnleased(store: QueueStore, foreignAfterMs: number): Promise<TakenBack[]> {
  const { paths } = store;
  const taken: TakenBack[] = [];
  const names = await store.look(() => namesIn(paths.directory('processing')));
  for (const baseName of names.filter(isPromptFile).map(baseNameOf).sort()) {
    const from = { place: 'processing', baseName } as const;
    const reason = await store.change(async () => {
      if ((await store.leases.of(baseName)) !== undefined) return undefined;
      const found = await stat(paths.prompt(from)).catch(undefinedIfAbsent);
      // A rename keeps the time of modification and sets the time of change.
      const ageMs = found === undefined ? 0 : store.now().getTime() - found.ctimeMs;
      if (ageMs <= foreignAfterMs) return undefined;
      await moveJob(paths, { from, to: await freeSpot(paths, { place: 'incoming', baseName }) });
      await store.markReturned();
      return `nobody's, in processing for ${hours(ageMs)} h`;
    });
    if (reason !== undefined) taken.push({ baseName, reason });
  }
  return taken;
}

/** @returns whether there was a job to give back. */
async function endLease(store: QueueStore, { baseName }: Lease): Promise<boolean> {
  const { paths } = store;
  const from = { place: 'processing', baseName } as const;
  if (!(await isThere(paths.prompt(from)))) {
    // The original's cleanup has given it back already, or a consumer of the original has done it.
    await store.leases.remove(baseName);
    return false;
  }
  const to = await freeSpot(paths, { place: 'incoming', baseName });
  await moveJob(paths, { from, to, endsLease: true });
  await store.markReturned();
  return true;
}

function hours(milliseconds: number): string {
  return (milliseconds / 3_600_000).toFixed(1);
}
