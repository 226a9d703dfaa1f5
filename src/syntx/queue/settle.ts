import { readdir } from 'node:fs/promises';

import type { QualityScore } from '../scores/quality-score.js';
import { leaseInForce } from './claim.js';
import { jobFacts, lowScoreReason } from './job-facts.js';
import { baseNameOf, failedName, isMetadataFile, jobIdOf } from './job-name.js';
import { leaseLost, type Lease, type LeaseReference, type NotedFault } from './leases.js';
import { localTimestamp } from './local-time.js';
import { ownKeys, readMetadata, withOwnKeys, withoutResult, withoutSimulated, type Metadata } from './metadata.js';
import { freeSpot, moveJob, type Move } from './move.js';
import { stages, type Stage } from './queue-paths.js';
import type { QueueStore } from './queue-store.js';

/** Who answered and how: the keys of `syntex_result` besides score and answer (contract syntx 1.3). */
export interface CallFacts {
  readonly durationMs: number;
  readonly sessionId: string;
  readonly wrapper: string;
  readonly workerId: string;
  /** The service said that no model answered. */
  readonly simulated?: boolean;
}

export interface ScoredOutcome extends CallFacts {
  readonly score: QualityScore;
  readonly response: string;
  /** At least this score goes to `processed`, less to `error`. */
  readonly threshold: number;
}

export interface FaultOutcome extends Omit<CallFacts, 'durationMs'> {
  /** As the original words it (contract syntx 3.3), or `empty`. Default: the fault that was noted last. */
  readonly error?: string;
  /** Default: of the fault that was noted last. */
  readonly durationMs?: number;
}

/** Where a job has gone. */
export interface Settled {
  readonly baseName: string;
  readonly stage: Stage;
  /** `null` for a job that has none: an answer that was empty, or none at all. */
  readonly score: number | null;
  /** Why it is in `error`: `last_error.error`. */
  readonly reason: string | null;
  /** Whether the service said that no model answered. */
  readonly simulated: boolean;
  /** Whether an earlier attempt had already settled it. */
  readonly repeated: boolean;
}

/**
 * Ends a job with its score: the threshold and more to `processed`, as a triple of files; less to `error` under its own name,
 * with `retry_count` as it was. The same call made again changes nothing and says where the job went.
 *
 * @throws TowerError `LEASE_LOST`
 */
export async function settleScored(
  store: QueueStore,
  reference: LeaseReference,
  outcome: ScoredOutcome,
): Promise<Settled> {
  const { score, threshold } = outcome;
  const total = score.total_score;
  return settle(store, reference, outcome, (lease, metadata) => {
    const result = { ...metadata, syntex_result: resultKeys(outcome) };
    const at = localTimestamp(store.now(), store.timeZone);
    const own = { scorer: 'v1', threshold };
    if (total >= threshold) {
      const ended = { ...result, processed_at: at, status: 'success' };
      return {
        stage: 'processed',
        baseName: lease.baseName,
        metadata: ended,
        response: outcome.response,
        own,
      };
    }
    const ended = {
      ...result,
      last_error: failureKeys(lowScoreReason(total, threshold), outcome),
      ...{ failed_at: at, status: 'error' },
    };
    return { stage: 'error', baseName: lease.baseName, metadata: ended, own };
  });
}

/**
 * Ends a job that got no score: to `error` as `B__retry<N>`, N being its new `retry_count`, as the original names it. A result
 * of an earlier try is not shown as its result any more.
 *
 * @throws TowerError `LEASE_LOST`
 */
export async function settleFault(
  store: QueueStore,
  reference: LeaseReference,
  outcome: FaultOutcome,
): Promise<Settled> {
  return settle(store, reference, outcome, (lease, metadata) => {
    const earlier = metadata['retry_count'];
    const count = (typeof earlier === 'number' && Number.isInteger(earlier) ? earlier : 0) + 1;
    const last = lease.faults.at(-1);
    const error = outcome.error ?? last?.error ?? 'Unexpected error: no fault was noted';
    const durationMs = outcome.durationMs ?? last?.durationMs ?? 0;
    const exceptionType = outcome.error === undefined ? last?.exceptionType : undefined;
    const ended = {
      ...withoutResult(metadata),
      retry_count: count,
      last_error: failureKeys(error, { ...outcome, durationMs, exceptionType }),
      ...{ failed_at: localTimestamp(store.now(), store.timeZone), status: 'error' },
    };
    return { stage: 'error', baseName: failedName(lease.baseName, count), metadata: ended };
  });
}

/**
 * Notes what went wrong with a claimed job, once for its time: the first attempt may have failed when all was written.
 *
 * @returns all that went wrong with it so far. @throws TowerError `LEASE_LOST`
 */
export async function noteFault(
  store: QueueStore,
  reference: LeaseReference,
  fault: NotedFault,
): Promise<readonly NotedFault[]> {
  return store.change(async () => {
    const lease = await store.leases.require(reference);
    const isNoted = lease.faults.some(({ at }) => at === fault.at);
    const faults = isNoted ? lease.faults : [...lease.faults, fault];
    await store.leases.write({ ...lease, faults });
    return faults;
  });
}

/** Where an earlier attempt of this claim has put the job; `undefined` while the claim holds it, or lost it. */
export async function settledBefore(store: QueueStore, reference: LeaseReference): Promise<Settled | undefined> {
  return store.change(async () => {
    const lease = await store.leases.of(reference.baseName);
    return lease?.token === reference.token ? undefined : findSettled(store, reference);
  });
}

interface Ending {
  readonly stage: 'processed' | 'error';
  readonly baseName: string;
  readonly metadata: Metadata;
  readonly response?: string;
  /** Further keys of Tower. */
  readonly own?: Metadata;
}

async function settle(
  store: QueueStore,
  reference: LeaseReference,
  { simulated = false }: Pick<CallFacts, 'simulated'>,
  end: (lease: Lease, metadata: Metadata) => Ending,
): Promise<Settled> {
  return store.change(async () => {
    const lease = await leaseInForce(store, reference);
    if (lease === undefined) {
      const settled = await findSettled(store, reference);
      if (settled === undefined) throw leaseLost(reference.baseName);
      return settled;
    }
    const from = { place: 'processing', baseName: lease.baseName } as const;
    const ending = end(lease, await metadataOf(store, lease.baseName));
    const to = await freeSpot(store.paths, { place: ending.stage, baseName: ending.baseName });
    const move: Omit<Move, 'version'> = {
      ...{ from, to, endsLease: true, endsAnswer: true },
      // A mark of an earlier score, which a plain move has left there, says nothing about this one.
      metadata: withOwnKeys(withoutSimulated(ending.metadata), {
        ...{ lease: lease.token, workflow: lease.owner.workflowId, ...ending.own },
        ...(lease.faults.length > 0 && { faults: lease.faults }),
        ...(simulated && { simulated }),
      }),
      response: ending.response,
    };
    await moveJob(store.paths, move);
    return {
      baseName: to.baseName,
      stage: ending.stage,
      ...resultOf(to.baseName, move.metadata ?? {}),
      repeated: false,
    };
  });
}

/** Its metadata in `processing`, or where the original's cleanup has put it. */
async function metadataOf({ paths }: QueueStore, baseName: string): Promise<Metadata> {
  for (const place of ['processing', 'incoming'] as const) {
    const found = await readMetadata(paths.metadata({ place, baseName }));
    if (found.state === 'read') return found.metadata;
  }
  return {};
}

/** Under the queue's lock: where an attempt of this claim has put the job, wherever it is by now. */
async function findSettled({ paths }: QueueStore, reference: LeaseReference): Promise<Settled | undefined> {
  const { baseName, token } = reference;
  for (const stage of stages) {
    const names = (await readdir(paths.directory(stage))).filter(isMetadataFile).map(baseNameOf);
    for (const name of names.filter((candidate) => candidate.startsWith(jobIdOf(baseName)))) {
      const found = await readMetadata(paths.metadata({ place: stage, baseName: name }));
      if (found.state !== 'read' || ownKeys(found.metadata)['lease'] !== token) continue;
      return { baseName: name, stage, ...resultOf(name, found.metadata), repeated: true };
    }
  }
  return undefined;
}

function resultOf(baseName: string, metadata: Metadata): Pick<Settled, 'score' | 'reason' | 'simulated'> {
  const { score, error, simulated } = jobFacts(baseName, metadata);
  return { score: score?.total ?? null, reason: metadata['status'] === 'error' ? error : null, simulated };
}

/** `syntex_result` with its keys in the original's order. */
function resultKeys({ score, durationMs, sessionId, wrapper, workerId, response }: ScoredOutcome): Metadata {
  return {
    ...{ quality_score: score, duration_ms: durationMs, session_id: sessionId },
    ...{ wrapper, worker_id: workerId, response_text: response },
  };
}

/** The two forms of the original: an exception, and a failure that it handles (contract syntx 1.3). */
function failureKeys(
  error: string,
  { durationMs, workerId, wrapper, exceptionType }: CallFacts & { readonly exceptionType?: string | undefined },
): Metadata {
  if (exceptionType !== undefined) return { error, exception_type: exceptionType, worker_id: workerId };
  return { error, duration_ms: durationMs, worker_id: workerId, wrapper };
}
