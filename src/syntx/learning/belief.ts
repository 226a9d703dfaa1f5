import type { SeededRandom } from '../../seeded-random.js';
import { standardNormals } from './distributions.js';
import { decompose, timesLower, type SquareMatrix } from './linear-algebra.js';

/** What is believed of the means of all cells at the same time: a normal distribution. */
export class Belief {
  readonly means: Float64Array;
  readonly #covariance: SquareMatrix;
  readonly #noise: Float64Array;

  /** @param noise - Variance of a single score of each cell. */
  constructor(means: Float64Array, covariance: SquareMatrix, noise: Float64Array) {
    this.means = means;
    this.#covariance = covariance;
    this.#noise = noise;
  }

  /** Standard deviation of what is believed of a cell's mean. */
  deviation(cell: number): number {
    return Math.sqrt(Math.max(0, this.#covariance.at(cell, cell)));
  }

  /**
   * The average of two landscapes that may well be the true one. One alone would explore for ever; what is learned here lasts
   * only until the landscape changes, and half the variance pays off sooner (posterior reshaping: Chapelle and Li, An Empirical
   * Evaluation of Thompson Sampling, 2011).
   */
  sample(random: SeededRandom): Float64Array {
    const { size } = this.#covariance;
    const deviations = timesLower(decompose(this.#covariance.copy()), standardNormals(random, size));
    return deviations.map((deviation, cell) => this.means[cell]! + Math.SQRT1_2 * deviation);
  }

  /**
   * A prompt of this cell is on its way. Its score will be about what is expected, so the means stay; but it will be known,
   * so the uncertainty shrinks already, and the next draws look elsewhere for news.
   */
  expectScore(cell: number): void {
    const { size, values } = this.#covariance;
    const column = Float64Array.from({ length: size }, (_, row) => this.#covariance.at(row, cell));
    const variance = column[cell]! + this.#noise[cell]!;
    for (let row = 0; row < size; row++) {
      const factor = column[row]! / variance;
      for (let other = 0; other < size; other++) values[row * size + other]! -= factor * column[other]!;
    }
  }
}
