import { CellGrid } from '../../../src/syntx/learning/cell-grid.js';
import { standardNormals } from '../../../src/syntx/learning/distributions.js';
import type { DrawInput, Drawn } from '../../../src/syntx/learning/draw.js';
import { best, drawnCells } from './drawn-cells.js';

/** What is believed of a cell before any score: as good as nothing. */
const prior = { mean: 50, variance: 30 ** 2 } as const;

/**
 * Thompson sampling as the textbook has it: every cell for itself, nothing is forgotten. It is told the noise, and nothing else.
 *
 * @param noise - Standard deviation of a single score.
 */
export function plainThompson(noise: number): (input: DrawInput) => Drawn {
  return (input) => {
    const grid = new CellGrid(input.landscape);
    const sums = new Float64Array(grid.size);
    const counts = new Float64Array(grid.size);
    for (const job of input.jobs) {
      const cell = grid.indexOf(job)!;
      sums[cell]! += job.score;
      counts[cell]! += 1;
    }
    const precisions = counts.map((count) => 1 / prior.variance + count / noise ** 2);
    const means = sums.map((sum, cell) => (prior.mean / prior.variance + sum / noise ** 2) / precisions[cell]!);
    return drawnCells(input, (random) => {
      const normals = standardNormals(random, grid.size);
      return best(means.map((mean, cell) => mean + normals[cell]! / Math.sqrt(precisions[cell]!)));
    });
  };
}
