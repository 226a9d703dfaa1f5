import { CellGrid } from '../../../src/syntx/learning/cell-grid.js';
import { standardNormals } from '../../../src/syntx/learning/distributions.js';
import type { DrawInput, Drawn } from '../../../src/syntx/learning/draw.js';
import { best, drawnCells } from './drawn-cells.js';

/** Weight of a score when one more has come: after 300 scores half is left. */
const discount = 0.5 ** (1 / 300);
/** So many scores' worth of what style and category say stand behind every cell. */
const pooledScores = 2;

/**
 * Thompson sampling that forgets steadily (discounted), with every cell drawn towards what its style and its category have
 * shown together (pooled). It is told the noise.
 *
 * @param noise - Standard deviation of a single score.
 */
export function discountedThompson(noise: number): (input: DrawInput) => Drawn {
  return (input) => {
    const grid = new CellGrid(input.landscape);
    const { sums, counts } = discounted(grid, input.jobs);
    const general = sum(sums) / Math.max(sum(counts), Number.MIN_VALUE);
    const expected = pooled(grid, { sums, counts, general });
    const weights = counts.map((count) => count + pooledScores);
    const means = sums.map((total, cell) => (total + pooledScores * expected[cell]!) / weights[cell]!);
    return drawnCells(input, (random) => {
      const normals = standardNormals(random, grid.size);
      return best(means.map((mean, cell) => mean + (noise * normals[cell]!) / Math.sqrt(weights[cell]!)));
    });
  };
}

interface Totals {
  readonly sums: Float64Array;
  readonly counts: Float64Array;
}

function discounted(grid: CellGrid, jobs: DrawInput['jobs']): Totals {
  const sums = new Float64Array(grid.size);
  const counts = new Float64Array(grid.size);
  jobs.forEach((job, index) => {
    const cell = grid.indexOf(job)!;
    const weight = discount ** (jobs.length - 1 - index);
    sums[cell]! += weight * job.score;
    counts[cell]! += weight;
  });
  return { sums, counts };
}

/** General mean and what the row and the column of each cell differ from it, drawn to nothing where they have few scores. */
function pooled(grid: CellGrid, { sums, counts, general }: Totals & { readonly general: number }): readonly number[] {
  const effect = (belongs: (cell: number) => boolean): number => {
    let [differences, count] = [0, 0];
    for (let cell = 0; cell < grid.size; cell++) {
      if (!belongs(cell)) continue;
      differences += sums[cell]! - counts[cell]! * general;
      count += counts[cell]!;
    }
    return differences / (count + pooledScores);
  };
  const rows = grid.styles.map((_, row) => effect((cell) => grid.row(cell) === row));
  const columns = grid.categories.map((_, column) => effect((cell) => grid.column(cell) === column));
  return Array.from({ length: grid.size }, (_, cell) => general + rows[grid.row(cell)]! + columns[grid.column(cell)]!);
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
