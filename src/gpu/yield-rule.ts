/** What is known when a long GPU activity asks itself whether to make way. Durations are milliseconds. */
export interface YieldFacts {
  /** Priority key of the own work: 1 is the most urgent, 5 the least. */
  readonly ownPriority: number;
  readonly sinceStartMs: number;
  /** Waiting activities of the same GPU queue, by priority key. */
  readonly backlog: ReadonlyMap<number, number>;
  /** How long work of equal priority has been waiting without a break; `undefined` when none waits. */
  readonly equalWaitingMs: number | undefined;
  /** How long work of equal priority waits before it gets a turn. */
  readonly turnMs: number;
}

export type YieldDecision = 'continue' | { readonly yield: string };

/** The server's count is up to 5 s old: right after a yield it still shows the work that was given way to. */
const staleCountMs = 6_000;

/** Nothing is pre-empted; work yields to more urgent work, and to equal work that has waited for longer than a turn. */
export function decideYield({ ownPriority, sinceStartMs, backlog, equalWaitingMs, turnMs }: YieldFacts): YieldDecision {
  if (sinceStartMs < staleCountMs) return 'continue';
  const urgent = [...backlog]
    .filter(([priority, count]) => priority < ownPriority && count > 0)
    .sort(([one], [other]) => one - other);
  const [most] = urgent;
  if (most !== undefined) return { yield: `${most[1]} waiting with priority ${most[0]}, ahead of ${ownPriority}` };
  if (equalWaitingMs !== undefined && equalWaitingMs > turnMs) {
    return { yield: `work of the same priority ${ownPriority} has waited for ${durationText(equalWaitingMs)}` };
  }
  return 'continue';
}

function durationText(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
}
