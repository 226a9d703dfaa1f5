import type { QueueCounts } from '../queue/look.js';
import type { SyntxQueue } from '../queue/syntx-queue.js';

/** What is still well (the guide's targets). */
export interface MonitorLimits {
  /** Waiting jobs, both bounds included. */
  readonly incoming: { readonly low: number; readonly high: number };
  /** Hours within which some job should come into `processed`. */
  readonly processedWithinHours: number;
  /** From this share of failed jobs on something is wrong, 0 to 1. */
  readonly errorShare: number;
}

export const defaultMonitorLimits: MonitorLimits = {
  ...{ incoming: { low: 10, high: 30 }, processedWithinHours: 24, errorShare: 0.1 },
};

export interface MonitorFlag {
  readonly code: 'INCOMING_LOW' | 'INCOMING_HIGH' | 'NOTHING_PROCESSED' | 'ERROR_SHARE';
  /** For a person, with what to do. */
  readonly text: string;
}

export interface QueueObservation {
  readonly counts: QueueCounts;
  /** The guide's line without its time. */
  readonly line: string;
  /** ISO 8601 UTC. */
  readonly lastProcessedAt: string | null;
  /** Jobs in `error` among all that are done: in `processed`, `archive` and `error`. `null` when none is. */
  readonly errorShare: number | null;
  /** Empty when all is well. */
  readonly flags: readonly MonitorFlag[];
}

const lookedAtOldest = 20;

/** Looks at the queue; changes nothing. */
export async function observeQueue(
  queue: SyntxQueue,
  { limits = defaultMonitorLimits, now = new Date() }: { readonly limits?: MonitorLimits; readonly now?: Date } = {},
): Promise<QueueObservation> {
  const counts = await queue.counts();
  const last = await queue.lastProcessedAt(now.getTime());
  const done = counts.processed.jobs + counts.archive.jobs + counts.error.jobs;
  const errorShare = done === 0 ? null : counts.error.jobs / done;
  const flags = [
    ...incomingFlags(counts, limits),
    ...processedFlags(last ?? (await waitingSince(queue, now)), last === undefined, { limits, now }),
    ...errorFlags(errorShare, limits),
  ];
  return {
    ...{ counts, line: monitorLine(counts), errorShare, flags },
    lastProcessedAt: last === undefined ? null : new Date(last).toISOString(),
  };
}

/** `Incoming: 8  | Processed: 89 | Error: 5 | Archive: 45` (contract syntx 4.1). */
export function monitorLine({ incoming, processed, error, archive }: QueueCounts): string {
  const waiting = String(incoming.jobs).padEnd(2);
  return `Incoming: ${waiting} | Processed: ${processed.jobs} | Error: ${error.jobs} | Archive: ${archive.jobs}`;
}

function incomingFlags({ incoming: { jobs } }: QueueCounts, { incoming: { low, high } }: MonitorLimits): MonitorFlag[] {
  if (jobs < low) {
    return [
      { code: 'INCOMING_LOW', text: `only ${jobs} prompts wait (${low} to ${high} are well): does the producer run?` },
    ];
  }
  if (jobs <= high) return [];
  return [
    { code: 'INCOMING_HIGH', text: `${jobs} prompts wait (${low} to ${high} are well): do the consumers keep up?` },
  ];
}

/** @param since when the last job came in; if none ever did, since when the oldest waits. */
function processedFlags(
  since: number | undefined,
  never: boolean,
  { limits, now }: { readonly limits: MonitorLimits; readonly now: Date },
): MonitorFlag[] {
  const hours = since === undefined ? 0 : (now.getTime() - since) / 3_600_000;
  if (hours <= limits.processedWithinHours) return [];
  const what = never
    ? 'no job has ever come into processed'
    : `no job has come into processed for ${Math.floor(hours)} h`;
  return [{ code: 'NOTHING_PROCESSED', text: `${what}: look at the last consumer runs and at the wrapper service` }];
}

function errorFlags(share: number | null, limits: MonitorLimits): MonitorFlag[] {
  if (share === null || share < limits.errorShare) return [];
  const percent = (100 * share).toFixed(0);
  return [
    { code: 'ERROR_SHARE', text: `${percent} % of the jobs that are done are in error: \`tower queue list error\`` },
  ];
}

/** A time to come, which a wrong clock has written, says nothing. */
async function waitingSince(queue: SyntxQueue, now: Date): Promise<number | undefined> {
  const times = (await queue.list('incoming', lookedAtOldest)).map(({ createdAt }) => createdAt);
  return times.find((at) => at !== null && at <= now.getTime()) ?? undefined;
}
