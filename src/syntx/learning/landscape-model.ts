import type { Belief } from './belief.js';
import type { CellGrid } from './cell-grid.js';
import { findChanges, type Beginning, type CellScore, type History } from './change-points.js';
import type { Spread } from './effects-model.js';
import { estimateSpread, noiseFromNeighbours } from './estimate-spread.js';
import { WrapperPool } from './wrapper-pool.js';
import { compareText, type ScoredJob } from './scored-job.js';

export interface ModelOptions {
  /** How many scores a landscape is expected to last. */
  readonly expectedLandscapeScores: number;
  /** Only so many of the latest scores are looked at. */
  readonly memoryScores: number;
}

/** One wrapper, as the model sees it. */
export interface WrapperModel {
  readonly name: string;
  /** Share of the latest scores that came from this wrapper, 0 to 1. */
  readonly share: number;
  readonly spread: Spread;
  readonly history: History;
  /** The scores that were looked at, in the order of scoring. */
  readonly jobs: readonly ScoredJob[];
}

/** Rough divisions are enough to estimate the spread, and quick. */
const coarseBlock = 50;
const fineBlock = 10;
/** How many of the latest scores tell which wrapper will score the next prompts. */
const shareWindow = 200;
/** The model grows with the cube of the wrappers; the ones with most scores stay. */
const mostWrappers = 4;

/**
 * What all scores together say about the cells: how far they lie apart, since when, and how alike the wrappers are. Nothing in
 * it is random.
 */
export class LandscapeModel {
  readonly grid: CellGrid;
  readonly wrappers: readonly WrapperModel[];
  /** From -1 to 1. */
  readonly likeness: number;
  readonly #pools = new Map<string, WrapperPool>();

  /**
   * @param jobs - In the order of scoring, all of cells of the grid.
   * @param wrapper - Stays in the model, however few scores it has.
   */
  constructor(grid: CellGrid, jobs: readonly ScoredJob[], options: ModelOptions & { readonly wrapper?: string }) {
    const remembered = jobs.slice(-options.memoryScores);
    const latest = remembered.slice(-shareWindow);
    this.grid = grid;
    this.wrappers = chosenWrappers(remembered, options.wrapper).map((name) => {
      const ofWrapper = remembered.filter(({ wrapper }) => wrapper === name);
      const share = latest.filter(({ wrapper }) => wrapper === name).length / latest.length;
      return { name, share, jobs: ofWrapper, ...learn(grid, ofWrapper, options) };
    });
    this.likeness = WrapperPool.likenessOf(
      grid,
      this.wrappers.map(({ spread, history }) => ({ spread, statistics: history.beginnings[0]!.statistics })),
    );
  }

  /** For each wrapper, the most probable answer to when its landscape began. */
  get mostProbable(): Beginning[] {
    return this.wrappers.map(({ history }) => history.beginnings[0]!);
  }

  /**
   * What is believed of the cells, should each wrapper's landscape hold since this beginning.
   *
   * @param weights - How much each wrapper's score counts.
   */
  believe(beginnings: readonly Beginning[], weights: readonly number[]): Belief {
    const key = beginnings.map(({ from }) => from).join();
    const pool = this.#pools.get(key) ?? this.#pool(beginnings);
    this.#pools.set(key, pool);
    return pool.believe(weights);
  }

  #pool(beginnings: readonly Beginning[]): WrapperPool {
    const evidence = this.wrappers.map(({ spread }, wrapper) => ({
      spread,
      statistics: beginnings[wrapper]!.statistics,
    }));
    return new WrapperPool(this.grid, evidence, this.likeness);
  }
}

/**
 * Spread and changes need each other: first with a guess that changes hardly touch, then with what the landscapes found that
 * way say.
 */
function learn(
  grid: CellGrid,
  jobs: readonly ScoredJob[],
  options: ModelOptions,
): { spread: Spread; history: History } {
  const scores: CellScore[] = jobs.map((job) => ({ cell: grid.indexOf(job)!, score: job.score }));
  const expectedLength = options.expectedLandscapeScores;
  const guess = noiseFromNeighbours(scores);
  const { landscapes } = findChanges(grid, scores, guess, { expectedLength, blockLength: coarseBlock });
  const spread = estimateSpread(grid, landscapes, guess);
  return { spread, history: findChanges(grid, scores, spread, { expectedLength, blockLength: fineBlock }) };
}

function chosenWrappers(jobs: readonly ScoredJob[], kept: string | undefined): string[] {
  const counts = new Map<string, number>();
  for (const { wrapper } of jobs) counts.set(wrapper, (counts.get(wrapper) ?? 0) + 1);
  const rank = (name: string) => (name === kept ? Infinity : (counts.get(name) ?? 0));
  return [...counts.keys()].sort((a, b) => rank(b) - rank(a) || compareText(a, b)).slice(0, mostWrappers);
}
