import { SeededRandom } from '../../src/seeded-random.js';
import { shuffled, standardNormals } from '../../src/syntx/learning/distributions.js';

/** How landscapes are drawn; deviations in points of the score. */
export interface WorldKind {
  readonly styles: number;
  readonly categories: number;
  readonly mean: number;
  readonly styleDeviation: number;
  readonly categoryDeviation: number;
  readonly pairDeviation: number;
  readonly noise: number;
  /** Half of the cells, drawn by chance, have the noise times this. */
  readonly unevenNoise: number;
  /** The only scores that there are, ascending from 0 to 100; default: all. */
  readonly steps?: readonly number[];
}

/** What every cell of a landscape scores, on average and each time. */
export class World {
  /** Expected score of every cell, clipping to 0–100 included. */
  readonly expected: readonly number[];
  readonly #means: readonly number[];
  readonly #noises: readonly number[];
  readonly #steps: readonly number[] | undefined;

  constructor(kind: WorldKind, seed: string) {
    const random = new SeededRandom(seed);
    this.#steps = kind.steps;
    const styles = standardNormals(random, kind.styles);
    const categories = standardNormals(random, kind.categories);
    const pairs = standardNormals(random, kind.styles * kind.categories);
    this.#means = Array.from(pairs, (pair, cell) => {
      const style = styles[Math.floor(cell / kind.categories)]!;
      const category = categories[cell % kind.categories]!;
      return kind.mean + kind.styleDeviation * style + kind.categoryDeviation * category + kind.pairDeviation * pair;
    });
    this.#noises = shuffled(random, [...pairs.keys()]).map((place) =>
      place < pairs.length / 2 ? kind.noise * kind.unevenNoise : kind.noise,
    );
    this.expected = this.#means.map((mean, cell) => expectedClipped(mean, this.#noises[cell]!));
  }

  score(cell: number, random: SeededRandom): number {
    const score = clipped(this.#means[cell]! + this.#noises[cell]! * standardNormals(random, 1)[0]!);
    return this.#steps === undefined ? score : stepped(score, this.#steps, random);
  }
}

/** One of the two steps beside a score, by chance so that on average it is the score. */
function stepped(score: number, steps: readonly number[], random: SeededRandom): number {
  const above = steps.find((step) => step >= score) ?? 100;
  const below = steps.filter((step) => step < score).at(-1) ?? above;
  return above > below && random.next() >= (score - below) / (above - below) ? below : above;
}

function clipped(score: number): number {
  return Math.min(100, Math.max(0, score));
}

/** Mean of a normal variable that is clipped to 0–100, by the midpoint rule over ±6 deviations. */
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
