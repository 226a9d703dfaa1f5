import { SeededRandom } from '../../src/seeded-random.js';
import { shuffled, standardNormals } from '../../src/syntx/learning/distributions.js';

/** How the worlds are drawn (issue: landscapes of 4 styles × 7 categories). */
export interface WorldKind {
  readonly styles: number;
  readonly categories: number;
  readonly mean: number;
  readonly styleDeviation: number;
  readonly categoryDeviation: number;
  readonly pairDeviation: number;
  readonly noise: number;
  /** Noise of every second cell, drawn by chance, by this factor. */
  readonly unevenNoise: number;
}

export const plainWorld: WorldKind = {
  ...{ styles: 4, categories: 7, mean: 78 },
  ...{ styleDeviation: 8, categoryDeviation: 5, pairDeviation: 6 },
  ...{ noise: 10, unevenNoise: 1 },
};

/** A landscape: how every cell scores, on average and each time. */
export class World {
  readonly #means: Float64Array;
  readonly #noises: Float64Array;
  /** Expected score of every cell, clipping included. */
  readonly expected: readonly number[];

  constructor(kind: WorldKind, seed: string) {
    const random = new SeededRandom(seed);
    const styles = standardNormals(random, kind.styles);
    const categories = standardNormals(random, kind.categories);
    const cells = kind.styles * kind.categories;
    const pairs = standardNormals(random, cells);
    this.#means = Float64Array.from(
      pairs,
      (pair, cell) =>
        kind.mean +
        kind.styleDeviation * styles[Math.floor(cell / kind.categories)]! +
        kind.categoryDeviation * categories[cell % kind.categories]! +
        kind.pairDeviation * pair,
    );
    const order = shuffled(random, [...pairs.keys()]);
    this.#noises = Float64Array.from(order, (position) =>
      position < cells / 2 ? kind.noise * kind.unevenNoise : kind.noise,
    );
    this.expected = Array.from(this.#means, (mean, cell) => expectedClipped(mean, this.#noises[cell]!));
  }

  score(cell: number, random: SeededRandom): number {
    return clipped(this.#means[cell]! + this.#noises[cell]! * standardNormals(random, 1)[0]!);
  }
}

function clipped(score: number): number {
  return Math.min(100, Math.max(0, score));
}

/** Mean of a normal variable clipped to 0–100, by midpoints. */
function expectedClipped(mean: number, deviation: number): number {
  const steps = 2000;
  let [sum, weights] = [0, 0];
  for (let step = 0; step < steps; step++) {
    const z = -6 + (12 * (step + 0.5)) / steps;
    const weight = Math.exp(-0.5 * z * z);
    sum += weight * clipped(mean + deviation * z);
    weights += weight;
  }
  return sum / weights;
}
