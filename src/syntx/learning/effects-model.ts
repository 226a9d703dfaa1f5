import type { CellGrid } from './cell-grid.js';
import type { CellStatistics } from './cell-statistics.js';
import { logGamma } from './distributions.js';
import { decompose, dot, logDiagonal, solveLower, SquareMatrix } from './linear-algebra.js';

/**
 * How far things lie apart, as standard deviations in points of the score: styles, categories, what a pair of both has of
 * its own, and single scores of the same cell.
 */
export interface Spread {
  readonly style: number;
  readonly category: number;
  readonly pair: number;
  readonly noise: number;
  /** How alike the cells are in their noise: the degrees of freedom of its scaled inverse chi-squared distribution. */
  readonly noiseDegrees: number;
}

/** What is believed of the general level before any score: as good as nothing, for scores from 0 to 100. */
export const level = { mean: 50, variance: 30 ** 2 } as const;

/** Covariance of the means of all cells in a landscape with this spread, without the common level. */
export function effectCovariance(grid: CellGrid, { style, category, pair }: Spread): SquareMatrix {
  const matrix = new SquareMatrix(grid.size);
  for (let a = 0; a < grid.size; a++) {
    for (let b = 0; b < grid.size; b++) {
      const sameStyle = grid.row(a) === grid.row(b) ? style ** 2 : 0;
      const sameCategory = grid.column(a) === grid.column(b) ? category ** 2 : 0;
      matrix.values[a * grid.size + b] = sameStyle + sameCategory;
    }
    matrix.values[a * grid.size + a]! += pair ** 2;
  }
  return matrix;
}

/** Variance of single scores in a cell: its own as far as it has scores, otherwise what the cells have in common. */
export function noiseVariance(statistics: CellStatistics, cell: number, { noise, noiseDegrees }: Spread): number {
  const own = Math.max(0, statistics.counts[cell]! - 1);
  return (noiseDegrees * noise ** 2 + statistics.squares[cell]!) / (noiseDegrees + own);
}

/** Landscapes of one spread: how probable they make scores. */
export class EffectsModel {
  readonly #spread: Spread;
  readonly #covariance: SquareMatrix;
  readonly #logGammas: number[] = [];
  /** Allocating takes longer than the arithmetic. */
  readonly #scratch: SquareMatrix[] = [];

  constructor(grid: CellGrid, spread: Spread) {
    this.#spread = spread;
    this.#covariance = effectCovariance(grid, spread);
  }

  /**
   * Logarithm of the probability of these scores, had they all been given by one landscape of this spread: over all
   * landscapes, and over all noises of the cells.
   */
  logEvidence(statistics: CellStatistics): number {
    const cells = statistics.seen();
    const size = cells.length;
    const covariance = (this.#scratch[size] ??= new SquareMatrix(size));
    const differences = new Float64Array(size);
    let within = 0;
    for (let row = 0; row < size; row++) {
      const cell = cells[row]!;
      const start = cell * this.#covariance.size;
      for (let column = 0; column <= row; column++) {
        covariance.values[row * size + column] = level.variance + this.#covariance.values[start + cells[column]!]!;
      }
      covariance.values[row * size + row]! += noiseVariance(statistics, cell, this.#spread) / statistics.counts[cell]!;
      differences[row] = statistics.means[cell]! - level.mean;
      within += this.#logEvidenceWithin(statistics, cell);
    }
    const lower = decompose(covariance);
    const residuals = solveLower(lower, differences);
    return within - 0.5 * (dot(residuals, residuals) + size * Math.log(2 * Math.PI)) - logDiagonal(lower);
  }

  /** The same for how the scores of one cell scatter around their mean. */
  #logEvidenceWithin(statistics: CellStatistics, cell: number): number {
    const count = statistics.counts[cell]!;
    if (count < 2) return 0;
    const { noise, noiseDegrees } = this.#spread;
    const scale = noiseDegrees * noise ** 2;
    return (
      this.#logGammaOfHalf(noiseDegrees + count - 1) -
      this.#logGammaOfHalf(noiseDegrees) +
      (noiseDegrees / 2) * Math.log(scale) -
      ((noiseDegrees + count - 1) / 2) * Math.log(scale + statistics.squares[cell]!) -
      ((count - 1) / 2) * Math.log(Math.PI) -
      0.5 * Math.log(count)
    );
  }

  #logGammaOfHalf(degrees: number): number {
    return (this.#logGammas[degrees] ??= logGamma(degrees / 2));
  }
}
