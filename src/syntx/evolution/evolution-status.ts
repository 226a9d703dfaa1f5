import { cellTable, type CellRow, type WrapperSummary } from '../learning/cell-table.js';
import type { LearningOptions } from '../learning/policy.js';
import type { Landscape, ScoredJob } from '../learning/scored-job.js';
import type { EvolutionLog, PastGeneration } from './evolution-log.js';

/** Where the evolution stands: what `tower evolution status` shows. */
export interface EvolutionStatus {
  readonly policy: LearningOptions['policy'];
  readonly nextGeneration: number;
  /** The latest run; `null` before the first. */
  readonly lastRun: PastGeneration | null;
  /** Scored jobs that are learned from, and those of styles or categories that are not configured. */
  readonly jobs: number;
  readonly ignored: number;
  readonly wrappers: readonly WrapperSummary[];
  readonly likeness: number | null;
  /** Best expected mean first, three at most. */
  readonly best: readonly CellRow[];
  /** Cells without a score since the landscape began. */
  readonly unseen: number;
}

export async function evolutionStatus(
  log: EvolutionLog,
  { jobs, landscape }: { readonly jobs: readonly ScoredJob[]; readonly landscape: Landscape },
  options: LearningOptions,
): Promise<EvolutionStatus> {
  const table = cellTable(jobs, landscape, options);
  const ranked = table.rows
    .filter(({ expected }) => expected !== null)
    .sort((a, b) => b.expected!.value - a.expected!.value);
  return {
    policy: options.policy,
    nextGeneration: await log.nextGeneration(),
    lastRun: (await log.history()).at(-1) ?? null,
    ...{ jobs: table.jobs, ignored: table.ignored, wrappers: table.wrappers, likeness: table.likeness },
    best: ranked.slice(0, 3),
    unseen: table.rows.filter(({ draws }) => draws === 0).length,
  };
}
