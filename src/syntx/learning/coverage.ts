import type { CellGrid } from './cell-grid.js';
import type { DrawReason } from './draw.js';
import type { Cell, ScoredJob } from './scored-job.js';

export interface OverdueCell {
  readonly cell: number;
  /** Draws since the last one of this cell. */
  readonly idle: number;
  readonly reason: DrawReason;
}

/** Cells that were not among the last `limit` draws, scored or still on their way; longest first. Jobs are in the order of scoring. */
export function overdueCells(
  { grid, jobs, pending }: { grid: CellGrid; jobs: readonly ScoredJob[]; pending: readonly Cell[] },
  limit: number,
): OverdueCell[] {
  const draws: readonly Cell[] = [...jobs, ...pending];
  const last = new Map<number, number>();
  draws.forEach((cell, index) => {
    const known = grid.indexOf(cell);
    if (known !== undefined) last.set(known, index);
  });
  return Array.from({ length: grid.size }, (_, cell) => ({ cell, idle: draws.length - 1 - (last.get(cell) ?? -1) }))
    .filter(({ idle }) => idle >= limit)
    .sort((a, b) => b.idle - a.idle || a.cell - b.cell)
    .map(({ cell, idle }) => ({
      ...{ cell, idle },
      reason: { kind: 'coverage', text: `not among the last ${idle} draws: one look whether it has changed` },
    }));
}
