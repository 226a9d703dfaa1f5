import { Belief } from './belief.js';
import type { CellGrid } from './cell-grid.js';
import type { CellStatistics } from './cell-statistics.js';
import { effectCovariance, level, noiseVariance, type Spread } from './effects-model.js';
import { decompose, dot, logDiagonal, solveLower, SquareMatrix } from './linear-algebra.js';

/** What one wrapper has shown of its landscape. */
export interface WrapperEvidence {
  readonly statistics: CellStatistics;
  readonly spread: Spread;
}

/** The mean score of a cell under a wrapper, as far as it has been seen. */
interface Observation {
  readonly wrapper: number;
  readonly cell: number;
  readonly variance: number;
}

/** Without much evidence wrappers are taken to say little about each other: standard deviation of what is believed before. */
const likenessDeviation = 0.5;
const likenessesTried = [-0.95, -0.8, -0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6, 0.8, 0.95];

/**
 * The landscapes of several wrappers, as one model: each has a level and a scale of its own, and they are alike to a degree
 * from -1 (what is good for one is bad for the other) over 0 (they say nothing about each other) to 1 (the same but for level and scale).
 */
export class WrapperPool {
  readonly #grid: CellGrid;
  readonly #wrappers: readonly WrapperEvidence[];
  readonly #likeness: number;
  readonly #observations: readonly Observation[];
  readonly #lower: SquareMatrix;
  readonly #residuals: Float64Array;
  /** Between the effects of each wrapper and those of each other one. */
  readonly #effects: readonly (readonly SquareMatrix[])[];

  constructor(grid: CellGrid, wrappers: readonly WrapperEvidence[], likeness: number) {
    this.#grid = grid;
    this.#wrappers = wrappers;
    this.#effects = wrappers.map(({ spread: one }) =>
      wrappers.map(({ spread: other }) => effectCovariance(grid, one === other ? one : between(one, other))),
    );
    this.#likeness = likeness;
    this.#observations = wrappers.flatMap(({ statistics, spread }, wrapper) =>
      statistics.seen().map((cell) => ({
        ...{ wrapper, cell },
        variance: noiseVariance(statistics, cell, spread) / statistics.counts[cell]!,
      })),
    );
    const covariance = SquareMatrix.from(this.#observations.length, (row, column) => {
      const [a, b] = [this.#observations[row]!, this.#observations[column]!];
      return this.#covariance(a, b) + (row === column ? a.variance : 0);
    });
    this.#lower = decompose(covariance);
    this.#residuals = solveLower(
      this.#lower,
      Float64Array.from(
        this.#observations,
        ({ wrapper, cell }) => wrappers[wrapper]!.statistics.means[cell]! - level.mean,
      ),
    );
  }

  /** The most probable likeness for this evidence. */
  static likenessOf(grid: CellGrid, wrappers: readonly WrapperEvidence[]): number {
    if (wrappers.length < 2) return 0;
    // Below this bound, more than two wrappers cannot all be unlike each other.
    const lowest = -1 / (wrappers.length - 1);
    const tried = likenessesTried.filter((likeness) => likeness > lowest);
    const fits = tried.map(
      (likeness) =>
        new WrapperPool(grid, wrappers, likeness).#logEvidence() - 0.5 * (likeness / likenessDeviation) ** 2,
    );
    return tried[fits.indexOf(Math.max(...fits))] ?? 0;
  }

  /** What is believed of `sum of weight × mean` of every cell, with one weight for each wrapper. */
  believe(weights: readonly number[]): Belief {
    const { size } = this.#grid;
    const wrappers = [...this.#wrappers.keys()];
    const known = Array.from({ length: size }, (_, cell) => {
      const withObservations = this.#observations.map((observation) =>
        wrappers.reduce(
          (sum, wrapper) => sum + weights[wrapper]! * this.#covariance({ wrapper, cell }, observation),
          0,
        ),
      );
      return solveLower(this.#lower, Float64Array.from(withObservations));
    });
    const before = weights.reduce((sum, weight) => sum + weight * level.mean, 0);
    const covariance = SquareMatrix.from(size, (a, b) => {
      let prior = 0;
      for (const one of wrappers) {
        for (const other of wrappers) {
          const factor = weights[one]! * weights[other]!;
          if (factor !== 0) prior += factor * this.#covariance({ wrapper: one, cell: a }, { wrapper: other, cell: b });
        }
      }
      return prior - dot(known[a]!, known[b]!);
    });
    const noise = Float64Array.from({ length: size }, (_, cell) =>
      this.#wrappers.reduce(
        (sum, { statistics, spread }, wrapper) =>
          sum + weights[wrapper]! ** 2 * noiseVariance(statistics, cell, spread),
        0,
      ),
    );
    const means = Float64Array.from(known, (ofCell) => before + dot(ofCell, this.#residuals));
    return new Belief(means, covariance, noise);
  }

  #covariance(a: Omit<Observation, 'variance'>, b: Omit<Observation, 'variance'>): number {
    const effects = this.#effects[a.wrapper]![b.wrapper]!.at(a.cell, b.cell);
    return a.wrapper === b.wrapper ? level.variance + effects : this.#likeness * effects;
  }

  #logEvidence(): number {
    return -0.5 * dot(this.#residuals, this.#residuals) - logDiagonal(this.#lower);
  }
}

/** The spread that gives the covariance of effects with different deviations. */
function between(one: Spread, other: Spread): Spread {
  const geometricMean = (name: 'style' | 'category' | 'pair') => Math.sqrt(one[name] * other[name]);
  const names = { style: geometricMean('style'), category: geometricMean('category'), pair: geometricMean('pair') };
  return { ...one, ...names };
}
