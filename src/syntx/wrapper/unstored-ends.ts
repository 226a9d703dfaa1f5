import { sha256Of } from '../../files/sha256.js';
import type { StoredAnswer } from '../queue/answers.js';
import type { ClaimedJob } from '../queue/claim.js';
import type { LeaseReference } from '../queue/leases.js';
import type { WrapperFault } from './wrapper-faults.js';

/** How a call of the model has ended, and what stores that for a claim of its job. */
export interface CallEnd {
  readonly what: 'answer' | 'fault';
  readonly store: (job: ClaimedJob) => Promise<StoredAnswer | WrapperFault>;
}

interface Kept {
  readonly token: string;
  readonly wrapper: string;
  readonly question: string;
  readonly end: CallEnd;
}

/** An answer may have a megabyte. */
const most = 32;

/** Ends of calls that no attempt could store yet, for the attempts that follow in this process: one for each job. */
export class UnstoredEnds {
  readonly #kept = new Map<string, Kept>();

  get size(): number {
    return this.#kept.size;
  }

  /** The answer to this very question, also of an earlier claim of the job, or a fault of this claim. */
  find(job: ClaimedJob, wrapper: string): CallEnd | undefined {
    const kept = this.#kept.get(job.baseName);
    if (kept === undefined || kept.token === job.token) return kept?.end;
    const isAnswer = kept.end.what === 'answer' && kept.wrapper === wrapper && kept.question === questionOf(job);
    return isAnswer ? kept.end : undefined;
  }

  /** The oldest makes room where there are too many: its job is asked for again. */
  keep(job: ClaimedJob, wrapper: string, end: CallEnd): void {
    const { baseName, token } = job;
    this.#kept.delete(baseName);
    this.#kept.set(baseName, { token, wrapper, question: questionOf(job), end });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > most && oldest !== undefined) this.#kept.delete(oldest);
  }

  /** What this claim has kept; a newer one may have kept its own. */
  drop({ baseName, token }: LeaseReference): void {
    if (this.#kept.get(baseName)?.token === token) this.#kept.delete(baseName);
  }
}

/** With its metadata: a job that was settled and put back meanwhile is to be answered anew. */
function questionOf({ prompt, metadata }: ClaimedJob): string {
  return sha256Of(JSON.stringify([prompt, metadata]));
}
