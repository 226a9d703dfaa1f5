import type { SeededRandom } from '../../seeded-random.js';
import type { Belief } from './belief.js';
import { CellGrid } from './cell-grid.js';
import { overdueCells } from './coverage.js';
import { weightedIndex } from './distributions.js';
import { averagesOf, TopicDealer, type DrawInput, type DrawReason, type Drawn } from './draw.js';
import { tableOf, type CellRow } from './cell-table.js';
import { LandscapeModel, type CurrentLandscape, type ModelOptions } from './landscape-model.js';
import { inOrderOfScoring } from './scored-job.js';
import { uniform } from './uniform.js';

export interface ThompsonOptions extends ModelOptions {
  /** One draw of so many is kept for a cell that is overdue. */
  readonly coverageEvery: number;
  /** A cell is overdue when it was not among so many draws. */
  readonly overdueAfterDraws: number;
  readonly goodScore: number;
  /** Learn for this wrapper alone, once it has scores; default: for all, each by its share of the latest scores. */
  readonly wrapper?: string;
}

/**
 * Thompson sampling: each prompt goes to the best cell of one landscape that may well be the true one, given all scores. So a
 * cell is drawn as often as it may still turn out to be the best.
 */
export function thompson(input: DrawInput, options: ThompsonOptions, random: SeededRandom): Drawn {
  const grid = new CellGrid(input.landscape);
  const jobs = inOrderOfScoring(input.jobs).filter((job) => grid.indexOf(job) !== undefined);
  if (jobs.length === 0) return uniform(input, random);
  const model = new LandscapeModel(grid, jobs, options);
  const { rows, wrapper } = tableOf(model, jobs, { ...options, ignored: 0 });
  const sampler = new CellSampler(model, { rows, wrapper }, random);
  for (const cell of input.pending) sampler.expectScore(grid.indexOf(cell));

  const topics = new TopicDealer(input.landscape, random);
  const kept = Math.floor(input.count / options.coverageEvery + random.next());
  const overdue = overdueCells({ grid, jobs, pending: input.pending }, options.overdueAfterDraws).slice(0, kept);
  const prompts = Array.from({ length: input.count }, (_, index) => {
    const due = overdue[index];
    const { cell, reason } = due === undefined ? sampler.draw() : { cell: due.cell, reason: due.reason };
    sampler.expectScore(cell);
    const drawn = grid.cell(cell);
    return { ...drawn, topic: topics.next(drawn.category), reason };
  });
  const ranking = sampler.ranking();
  // Not every job: the model forgets the oldest, and leaves out wrappers beyond the first four.
  const read = model.wrappers.flatMap((one) => one.jobs);
  return {
    prompts,
    learnedFrom: {
      ...averagesOf(read),
      topCategories: distinctBest(ranking.map((cell) => grid.cell(cell).category)),
      topStyles: distinctBest(ranking.map((cell) => grid.cell(cell).style)),
    },
    taught: read.map(({ id }) => id),
  };
}

/** Draws cells one by one; what has been drawn changes what is drawn next. */
class CellSampler {
  readonly #model: LandscapeModel;
  readonly #rows: readonly CellRow[];
  readonly #weights: readonly number[];
  readonly #random: SeededRandom;
  readonly #beliefs = new Map<string, Belief>();
  readonly #expected: number[] = [];

  constructor(
    model: LandscapeModel,
    { rows, wrapper }: { readonly rows: readonly CellRow[]; readonly wrapper: string | null },
    random: SeededRandom,
  ) {
    this.#model = model;
    this.#rows = rows;
    this.#random = random;
    this.#weights = objectiveWeights(model, wrapper);
  }

  expectScore(cell: number | undefined): void {
    if (cell === undefined) return;
    this.#expected.push(cell);
    for (const belief of this.#beliefs.values()) belief.expectScore(cell);
  }

  draw(): { cell: number; reason: DrawReason } {
    const landscapes = this.#model.wrappers.map(({ current }) => {
      const probabilities = current.map(({ probability }) => probability);
      return current[weightedIndex(this.#random, probabilities)]!;
    });
    const belief = this.#belief(landscapes);
    const sample = belief.sample(this.#random);
    const cell = sample.indexOf(Math.max(...sample));
    return { cell, reason: { kind: 'sampled', text: whySampled(this.#rows[cell]!, this.#rows) } };
  }

  /** Cells, best expected mean first. */
  ranking(): number[] {
    const { means } = this.#belief(this.#model.mostProbable);
    return [...means.keys()].sort((a, b) => means[b]! - means[a]!);
  }

  #belief(landscapes: readonly CurrentLandscape[]): Belief {
    const key = landscapes.map(({ from }) => from).join();
    const known = this.#beliefs.get(key);
    if (known !== undefined) return known;
    const belief = this.#model.believe(landscapes, this.#weights);
    for (const cell of this.#expected) belief.expectScore(cell);
    this.#beliefs.set(key, belief);
    return belief;
  }
}

/** Every wrapper counts by its share of the scores, in units of how far its own cells lie apart. */
function objectiveWeights({ wrappers }: LandscapeModel, alone: string | null): number[] {
  return wrappers.map(({ name, share, spread }) => {
    const counts = alone === null ? share : name === alone ? 1 : 0;
    return counts / Math.hypot(spread.style, spread.category, spread.pair);
  });
}

function whySampled(row: CellRow, rows: readonly CellRow[]): string {
  const rank = 1 + rows.filter(({ expected }) => expected!.value > row.expected!.value).length;
  const { value, low, high } = row.expected!;
  const [mean, from, to] = [value, low, high].map((points) => points.toFixed(1));
  return `best in a sampled landscape; expected ${mean} (${from} to ${to}) after ${row.draws} scores, rank ${rank} of ${rows.length}`;
}

function distinctBest(values: readonly string[]): string[] {
  return [...new Set(values)].slice(0, 3);
}
