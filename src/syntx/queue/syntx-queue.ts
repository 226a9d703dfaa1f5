import { addJob, isAdded, type Added, type NewJob } from './add.js';
import { findAnswer, storeAnswer, type StoredAnswer } from './answers.js';
import { archiveJobs, type Archived } from './archive.js';
import { claimNext, workOn, type ClaimedJob, type ClaimRequest } from './claim.js';
import { readScoredJobs } from './evidence.js';
import { giveBack, takeBack, type TakeBackOptions, type TakenBack } from './give-back.js';
import { importJobs, type Imported, type ImportOptions } from './import-jobs.js';
import { lastProcessedAt } from './last-processed.js';
import type { LeaseReference, NotedFault } from './leases.js';
import type { ScoredJobRecord } from './lesson.js';
import {
  countJobs,
  findJobs,
  listBaseNames,
  listJobs,
  showJob,
  type ListedJob,
  type QueueCounts,
  type ShownJob,
} from './look.js';
import type { Place, QueuePaths, Spot } from './queue-paths.js';
import { QueueStore, type QueueStoreOptions } from './queue-store.js';
import { requeueJobs, retryFailed, type Requeued } from './requeue.js';
import {
  noteFault,
  settledBefore,
  settleFault,
  settleScored,
  type FaultOutcome,
  type ScoredOutcome,
  type Settled,
} from './settle.js';
import { removeTemporary, setAsideBroken, type Tidied, type TidyOptions } from './tidy.js';

export type QueueOptions = QueueStoreOptions;

/**
 * A SYNTX queue directory (contract syntx 1), taken over as it is: the files, names and keys of the original, so that its API
 * and scripts go on working on it, and what is Tower's own in `.tower`, `.broken` and under the key `tower`.
 *
 * Any number of processes may serve one directory, and any of them may die at any point: changes are made one at a time,
 * written down before they begin, and finished by whoever comes next. Keep one object for the life of a process: the order of
 * `incoming` is remembered in it.
 *
 * Errors are TowerErrors: `QUEUE_MISSING` (retryable once the queue has been there), `QUEUE_FORBIDDEN`, `QUEUE_SPLIT`, `QUEUE_INVALID`,
 * `LEASE_LOST`, `FILE_INVALID` (not retryable); `DISK_FULL`, `QUEUE_BUSY`, `QUEUE_AWAY`, `QUEUE_CHANGED` (retryable).
 */
export class SyntxQueue {
  readonly paths: QueuePaths;
  readonly #store: QueueStore;

  constructor(root: string, options: QueueOptions) {
    this.#store = new QueueStore(root, options);
    this.paths = this.#store.paths;
  }

  /** How many jobs are where; answers are no jobs. */
  async counts(): Promise<QueueCounts> {
    return countJobs(this.#store);
  }

  async list(place: Place, limit = 100): Promise<ListedJob[]> {
    return listJobs(this.#store, place, limit);
  }

  /** Names of all jobs of a place, without a look into them; the oldest first in `incoming` and `processing`, the newest elsewhere. */
  async baseNames(place: Place): Promise<string[]> {
    return listBaseNames(this.#store, place);
  }

  /** The jobs that a base name, a file name or a part of a name means. */
  async find(named: string, limit?: number): Promise<ShownJob[]> {
    return findJobs(this.#store, named, limit);
  }

  /** The job whose files lie at a spot, without a search. */
  async show(spot: Spot): Promise<ShownJob> {
    return showJob(this.#store, spot);
  }

  /** Every scored job in `processed`, `error` and `archive`, each once, oldest first. */
  async scoredJobs(options?: { readonly signal?: AbortSignal }): Promise<ScoredJobRecord[]> {
    return readScoredJobs(this.#store, options);
  }

  /** Writes a new job into `incoming`, once for its id. */
  async add(job: NewJob): Promise<Added> {
    return addJob(this.#store, job);
  }

  /** Whether a job of this id has been added, wherever it is by now. */
  async added(job: NewJob): Promise<boolean> {
    return isAdded(this.#store, job);
  }

  /** Does work while no other Tower changes the queue. The work must not change the queue itself: it would wait for its own end. */
  async alone<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#store.change(work);
  }

  /** Claims the oldest waiting job for a workflow run; `undefined` when nothing waits. */
  async claim(request: ClaimRequest): Promise<ClaimedJob | undefined> {
    return claimNext(this.#store, request);
  }

  /** The claimed job itself, to work on. @throws TowerError `LEASE_LOST` */
  async claimed(reference: LeaseReference): Promise<ClaimedJob> {
    return workOn(this.#store, reference);
  }

  /** Before a call whose answer has to be stored. @throws TowerError `DISK_FULL` */
  async requireSpace(): Promise<void> {
    return this.#store.look(() => this.#store.requireSpace());
  }

  /** @throws TowerError `LEASE_LOST` */
  async storeAnswer(reference: LeaseReference, prompt: string, answer: StoredAnswer): Promise<void> {
    return storeAnswer(this.#store, reference, prompt, answer);
  }

  async findAnswer(
    baseName: string,
    question: { readonly wrapper: string; readonly prompt: string },
  ): Promise<StoredAnswer | undefined> {
    return findAnswer(this.#store, baseName, question);
  }

  /** Counts a fault of a claimed job, once for its time. @returns all of its faults. @throws TowerError `LEASE_LOST` */
  async noteFault(reference: LeaseReference, fault: NotedFault): Promise<readonly NotedFault[]> {
    return noteFault(this.#store, reference, fault);
  }

  /** Where an earlier attempt of this claim has put the job; `undefined` while it is still to be done. */
  async settled(reference: LeaseReference): Promise<Settled | undefined> {
    return settledBefore(this.#store, reference);
  }

  /** Ends a job with its score. Repeatable. @throws TowerError `LEASE_LOST` */
  async complete(reference: LeaseReference, outcome: ScoredOutcome): Promise<Settled> {
    return settleScored(this.#store, reference, outcome);
  }

  /** Ends a job without a score. Repeatable. @throws TowerError `LEASE_LOST` */
  async fail(reference: LeaseReference, outcome: FaultOutcome): Promise<Settled> {
    return settleFault(this.#store, reference, outcome);
  }

  /** Gives a claimed job back unchanged; nothing happens when it is not held any more. */
  async giveBack(reference: LeaseReference): Promise<void> {
    return giveBack(this.#store, reference);
  }

  /** Takes back what nobody works on any more. */
  async takeBack(options: TakeBackOptions): Promise<TakenBack[]> {
    return takeBack(this.#store, options);
  }

  /** Failed jobs wait again: all, or those whose names contain a text. */
  async retry(options?: { readonly containing?: string; readonly scored?: boolean }): Promise<Requeued> {
    return retryFailed(this.#store, options);
  }

  /** Named jobs wait again, whatever became of them. */
  async requeue(jobs: readonly string[]): Promise<Requeued> {
    return requeueJobs(this.#store, jobs);
  }

  /** Jobs of `processed` that taught go to the archive. */
  async archive(jobs: readonly string[]): Promise<Archived> {
    return archiveJobs(this.#store, jobs);
  }

  /** Copies jobs from another queue directory, or prompts from a folder. */
  async import(source: string, options?: ImportOptions): Promise<Imported> {
    return importJobs(this.#store, source, options);
  }

  /** When the newest job came into `processed`, archived ones included; milliseconds since 1970, as is the time until which is looked (default: now). */
  async lastProcessedAt(until = this.#store.now().getTime()): Promise<number | undefined> {
    return lastProcessedAt(this.#store, until);
  }

  /** Deletes old files that writers have left in `.tmp`. */
  async removeTemporary(options: TidyOptions): Promise<Tidied[]> {
    return removeTemporary(this.#store, options);
  }

  /** Sets old prompts without metadata aside in `.broken`. */
  async setAsideBroken(options: TidyOptions): Promise<Tidied[]> {
    return setAsideBroken(this.#store, options);
  }

  /** Frees what this process holds of the queue; leases stay. */
  close(): void {
    this.#store.close();
  }
}

/** @param root the queue directory; it is looked at when it is first used. */
export function openQueue(root: string, options: QueueOptions): SyntxQueue {
  return new SyntxQueue(root, options);
}
