import type { CellRow, CellTable } from '../learning/cell-table.js';
import type { LearningOptions } from '../learning/policy.js';
import type { EvolutionLog, PastGeneration } from './evolution-log.js';

/** Where the evolution stands, beside what has been learned: what `tower evolution status` shows. */
export interface EvolutionStatus {
  readonly policy: LearningOptions['policy'];
  readonly nextGeneration: number;
  /** The latest run; `null` before the first. */
  readonly lastRun: PastGeneration | null;
  /** Best expected mean first, three at most. */
  readonly best: readonly CellRow[];
  /** Cells without a score since the landscape began. */
  readonly unseen: number;
}

export async function evolutionStatus(
  log: EvolutionLog,
  { rows }: Pick<CellTable, 'rows'>,
  { policy }: Pick<LearningOptions, 'policy'>,
): Promise<EvolutionStatus> {
  const ranked = rows.filter(({ expected }) => expected !== null).sort((a, b) => b.expected!.value - a.expected!.value);
  return {
    policy,
    nextGeneration: await log.nextGeneration(),
    lastRun: (await log.history()).at(-1) ?? null,
    best: ranked.slice(0, 3),
    unseen: rows.filter(({ draws }) => draws === 0).length,
  };
}
