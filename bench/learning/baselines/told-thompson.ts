import { CellGrid } from '../../../src/syntx/learning/cell-grid.js';
import { CellStatistics, type CellScore } from '../../../src/syntx/learning/cell-statistics.js';
import type { Belief } from '../../../src/syntx/learning/belief.js';
import type { DrawInput, Drawn } from '../../../src/syntx/learning/draw.js';
import { overdueCells } from '../../../src/syntx/learning/coverage.js';
import { WrapperPool } from '../../../src/syntx/learning/wrapper-pool.js';
import type { Spread } from '../../../src/syntx/learning/effects-model.js';
import { best, drawnCells } from './drawn-cells.js';

/** A batch this many standard deviations worse explained than expected means that the landscape was replaced. */
const resetDeviations = 3.7;
const overdueAfterDraws = 800;

/**
 * The hierarchical Gaussian model (style, category, pair) with Thompson draws, told the variances of the world; everything before a
 * batch that falls far outside of what was predicted is forgotten, and one draw of a batch goes to a cell not drawn for 800 draws.
 */
export function toldThompson(spread: Spread, batch: number): (input: DrawInput) => Drawn {
  // A course goes on from what was read before: one policy lives through one world.
  let [read, start] = [0, 0];
  return (input) => {
    const grid = new CellGrid(input.landscape);
    const scores = input.jobs.map((job): CellScore => ({ cell: grid.indexOf(job)!, score: job.score }));
    for (; read + batch <= scores.length; read += batch) {
      const added = scores.slice(read, read + batch);
      if (read > start && isSurprising(believe(grid, scores.slice(start, read), spread), added, spread)) start = read;
    }
    const belief = believe(grid, scores.slice(start), spread);
    const [overdue] = overdueCells({ grid, jobs: input.jobs, pending: input.pending }, overdueAfterDraws);
    let first = overdue?.cell;
    return drawnCells(input, (random) => {
      const kept = first;
      first = undefined;
      if (kept !== undefined) return kept;
      // Each sample has half the variance; the sum of two such deviations has all of it.
      const [one, other] = [belief.sample(random), belief.sample(random)];
      return best(one.map((value, cell) => value + other[cell]! - belief.means[cell]!));
    });
  };
}

function believe(grid: CellGrid, scores: readonly CellScore[], spread: Spread): Belief {
  return new WrapperPool(grid, [{ statistics: CellStatistics.of(grid.size, scores), spread }], 0).believe([1]);
}

/** Compares the mean of each cell in the batch with what was predicted (chi-squared, by Wilson and Hilferty's approximation). */
function isSurprising(belief: Belief, batch: readonly CellScore[], { noise }: Spread): boolean {
  const statistics = CellStatistics.of(belief.means.length, batch);
  const cells = statistics.seen();
  const squares = cells.reduce((sum, cell) => {
    const variance = belief.deviation(cell) ** 2 + noise ** 2 / statistics.counts[cell]!;
    return sum + (statistics.means[cell]! - belief.means[cell]!) ** 2 / variance;
  }, 0);
  const scale = 2 / (9 * cells.length);
  return (Math.cbrt(squares / cells.length) - (1 - scale)) / Math.sqrt(scale) > resetDeviations;
}
