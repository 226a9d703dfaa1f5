import { serveJobs } from '../../threads/serve-jobs.js';
import type { CellTableJob } from './cell-table-in-thread.js';
import { cellTable, type CellTable } from './cell-table.js';

/** The program of the thread of `cell-table-in-thread.ts`. */
serveJobs<CellTableJob, CellTable>(({ jobs, landscape, options }) =>
  Promise.resolve(cellTable(jobs, landscape, options)),
);
