import { JobThread } from '../../threads/job-thread.js';
import type { CellTable, CellTableOptions } from './cell-table.js';
import { learnedFacts, type Landscape, type ScoredJob } from './scored-job.js';

export interface CellTableJob {
  readonly jobs: readonly ScoredJob[];
  readonly landscape: Landscape;
  readonly options: CellTableOptions;
}

const thread = new JobThread<CellTableJob, CellTable>({
  name: 'cell table',
  program: 'syntx/learning/cell-table-program',
});

/** `cellTable` in a thread, so that heartbeats go on: many cells take seconds. */
export async function cellTableInThread(
  jobs: readonly ScoredJob[],
  landscape: Landscape,
  options: CellTableOptions,
): Promise<CellTable> {
  // What is learned cannot be interrupted, so nothing aborts it.
  const { signal } = new AbortController();
  return thread.run({ jobs: learnedFacts(jobs), landscape, options }, { signal });
}
