/** One field of the landscape that is learned: a way of writing about a kind of subject. */
export interface Cell {
  readonly style: string;
  readonly category: string;
}

/**
 * A job of the queue that has a score: what is learned from. It counts once, wherever it lies by now (contract syntx 1.1),
 * and never when a fault kept it from being scored.
 */
export interface ScoredJob extends Cell {
  /** Base name of its files: its identity. */
  readonly id: string;
  /** The wrapper whose answer was scored. */
  readonly wrapper: string;
  /** 0 to 100. */
  readonly score: number;
  /** Milliseconds since 1970. */
  readonly scoredAt: number;
  readonly place: 'processed' | 'error' | 'archive';
  /** Percent of the weighted fields that the answer had; `null` where nobody noted it. */
  readonly fieldCompleteness: number | null;
}

/** All of a job is copied to a thread that learns: what nothing looks at there is left out. */
export function learnedFacts(jobs: readonly ScoredJob[]): ScoredJob[] {
  return jobs.map(({ id, style, category, wrapper, score, scoredAt, place, fieldCompleteness }) => ({
    ...{ id, style, category, wrapper, score, scoredAt, place, fieldCompleteness },
  }));
}

/** What may be drawn: every style with every category; topics for each category. */
export interface Landscape {
  readonly styles: readonly string[];
  readonly topics: Readonly<Record<string, readonly string[]>>;
}

/** Oldest first; jobs of the same moment by name, so that the order never depends on how files were listed. Each id once. */
export function inOrderOfScoring(jobs: readonly ScoredJob[]): ScoredJob[] {
  const unique = new Map(jobs.map((job) => [job.id, job]));
  return [...unique.values()].sort((a, b) => a.scoredAt - b.scoredAt || compareText(a.id, b.id));
}

/** By code units, whatever the locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
