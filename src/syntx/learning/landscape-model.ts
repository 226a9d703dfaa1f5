import type { Belief } from './belief.js';
import type { CellGrid } from './cell-grid.js';
import { CellStatistics, type CellScore } from './cell-statistics.js';
import { findChanges, type Beginning } from './change-points.js';
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

/** A possible beginning of the landscape that holds now, with the scores since then. */
export interface CurrentLandscape extends Beginning {
  readonly statistics: CellStatistics;
}

/** One wrapper, as the model sees it. */
export interface WrapperModel {
  readonly name: string;
  /** Share of the latest scores that came from this wrapper, 0 to 1. */
  readonly share: number;
  readonly spread: Spread;
  /** Most probable first. */
  readonly current: readonly CurrentLandscape[];
  /** The scores that were looked at, in the order of scoring. */
  readonly jobs: readonly ScoredJob[];
}

/**
 * Scores of a block, at whose ends changes are looked for. Rough divisions are enough to estimate the spread, and quick. With many
 * cells a change shows later, and looking for it takes longer, so blocks grow with them.
 */
const coarseBlock = (cells: number) => Math.max(50, cells);
const fineBlock = (cells: number) => Math.max(20, Math.ceil(cells / 2));
/** Less probable beginnings are not followed up. */
const leastProbability = 0.02;
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

  /**
   * @param jobs - In the order of scoring, all of cells of the grid.
   * @param wrapper - Stays in the model, however few scores it has.
   */
  constructor(grid: CellGrid, jobs: readonly ScoredJob[], options: ModelOptions & { readonly wrapper?: string }) {
    const remembered = jobs.slice(-options.memoryScores);
    const latest = remembered.slice(-shareWindow);
    this.grid = grid;
    this.wrappers = chosenWrappers({ remembered, latest }, options.wrapper).map((name) => {
      const ofWrapper = remembered.filter(({ wrapper }) => wrapper === name);
      const share = latest.filter(({ wrapper }) => wrapper === name).length / latest.length;
      return { name, share, jobs: ofWrapper, ...learn(grid, ofWrapper, options) };
    });
    this.likeness = WrapperPool.likenessOf(
      grid,
      this.wrappers.map(({ spread, current }) => ({ spread, statistics: current[0]!.statistics })),
    );
  }

  /** For each wrapper, since its most probable beginning. */
  get mostProbable(): CurrentLandscape[] {
    return this.wrappers.map(({ current }) => current[0]!);
  }

  /**
   * What is believed of the cells, should these be the landscapes of the wrappers.
   *
   * @param weights - How much each wrapper's score counts.
   */
  believe(landscapes: readonly CurrentLandscape[], weights: readonly number[]): Belief {
    const evidence = this.wrappers.map(({ spread }, wrapper) => ({
      spread,
      statistics: landscapes[wrapper]!.statistics,
    }));
    return new WrapperPool(this.grid, evidence, this.likeness).believe(weights);
  }
}

/**
 * Changes are looked for in percentiles, where an answer that failed altogether is one low score and no earthquake, and whatever
 * scale a scorer has. Spread and changes need each other: first with a guess that changes hardly touch, then with what the
 * landscapes found that way say. What is learned of the landscapes themselves comes from the scores as they are.
 */
function learn(
  grid: CellGrid,
  jobs: readonly ScoredJob[],
  options: ModelOptions,
): Pick<WrapperModel, 'spread' | 'current'> {
  const expectedLength = options.expectedLandscapeScores;
  const scores = jobs.map((job) => ({ cell: grid.indexOf(job)!, score: job.score }));
  const ranks = percentiles(scores);
  const guess = noiseFromNeighbours(ranks);
  const rough = findChanges(grid, ranks, guess, { expectedLength, blockLength: coarseBlock(grid.size) });
  const rankSpread = estimateSpread(grid, divided(grid, ranks, rough.division), guess);
  const { beginnings, division } = findChanges(grid, ranks, rankSpread, {
    expectedLength,
    blockLength: fineBlock(grid.size),
  });
  return {
    spread: estimateSpread(grid, divided(grid, scores, division), noiseFromNeighbours(scores)),
    current: beginnings
      .filter(({ probability }, index) => index === 0 || probability >= leastProbability)
      .map((beginning) => ({
        ...beginning,
        statistics: CellStatistics.of(grid.size, scores.slice(beginning.from)),
      })),
  };
}

/** Each score by its place among all, from 0 to 100; equal scores share the middle of their places. */
function percentiles(scores: readonly CellScore[]): CellScore[] {
  const sorted = Float64Array.from(scores, ({ score }) => score).sort();
  const places = new Map<number, { first: number; count: number }>();
  sorted.forEach((score, index) => {
    const place = places.get(score) ?? { first: index, count: 0 };
    place.count += 1;
    places.set(score, place);
  });
  return scores.map(({ cell, score }) => {
    const { first, count } = places.get(score)!;
    return { cell, score: (100 * (first + count / 2)) / sorted.length };
  });
}

function divided(grid: CellGrid, scores: readonly CellScore[], division: readonly number[]): CellStatistics[] {
  return division.map((from, index) => CellStatistics.of(grid.size, scores.slice(from, division[index + 1])));
}

/** Those of the latest scores go first: what is drawn next is for them. */
function chosenWrappers(
  { remembered, latest }: { readonly remembered: readonly ScoredJob[]; readonly latest: readonly ScoredJob[] },
  kept: string | undefined,
): string[] {
  const [lately, ever] = [countsByWrapper(latest), countsByWrapper(remembered)];
  const rank = (name: string) => (name === kept ? Infinity : (lately.get(name) ?? 0));
  const difference = (a: string, b: string) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a));
  return [...ever.keys()]
    .sort((a, b) => difference(a, b) || (ever.get(b) ?? 0) - (ever.get(a) ?? 0) || compareText(a, b))
    .slice(0, mostWrappers);
}

function countsByWrapper(jobs: readonly ScoredJob[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { wrapper } of jobs) counts.set(wrapper, (counts.get(wrapper) ?? 0) + 1);
  return counts;
}
