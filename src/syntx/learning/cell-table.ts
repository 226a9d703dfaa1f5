import { CellGrid } from './cell-grid.js';
import { CellStatistics } from './cell-statistics.js';
import type { Spread } from './effects-model.js';
import { LandscapeModel, type ModelOptions } from './landscape-model.js';
import { inOrderOfScoring, type Cell, type Landscape, type ScoredJob } from './scored-job.js';

/** What is known of one cell, in points of the score. */
export interface CellRow extends Cell {
  /** Scored jobs since the landscape began that holds now. */
  readonly draws: number;
  /** Of those; `null` without any. */
  readonly mean: number | null;
  /** Share of those that reached the good score, 0 to 1. */
  readonly goodShare: number | null;
  /** The mean that the model expects, with its 95 % interval: borrows from the style, the category and other wrappers. */
  readonly expected: { readonly value: number; readonly low: number; readonly high: number } | null;
  /** Scored jobs of all times. */
  readonly drawsEver: number;
}

export interface WrapperSummary {
  readonly name: string;
  /** Share of the latest scores, 0 to 1. */
  readonly share: number;
  readonly spread: Spread;
  /** When its landscape began most probably: milliseconds since 1970 of the first score; `null` when it always held. */
  readonly since: number | null;
  /** How probable that is, 0 to 1. */
  readonly probability: number;
}

/** What has been learned: a row for each style and category, in the order of the configuration. */
export interface CellTable {
  readonly rows: readonly CellRow[];
  readonly wrappers: readonly WrapperSummary[];
  /** The table is for this wrapper alone; `null`: for all, each by its share of the latest scores. */
  readonly wrapper: string | null;
  /** The wrapper that was asked for and has no scores, so that all count instead; `null`: none. */
  readonly withoutScores: string | null;
  /** How alike the wrappers' landscapes are, from -1 to 1; `null` with fewer than two. */
  readonly likeness: number | null;
  /** Scored jobs that the table rests on. */
  readonly jobs: number;
  /** Scored jobs whose style or category is not configured. */
  readonly ignored: number;
}

export interface CellTableOptions extends ModelOptions {
  /** One wrapper alone, once it has scores; default: all, each by its share of the latest scores. */
  readonly wrapper?: string;
  /** From this score on, an answer is good. */
  readonly goodScore: number;
}

const normalQuantile = 1.96;

export function cellTable(jobs: readonly ScoredJob[], landscape: Landscape, options: CellTableOptions): CellTable {
  const grid = new CellGrid(landscape);
  const ordered = inOrderOfScoring(jobs);
  const known = ordered.filter((job) => grid.indexOf(job) !== undefined);
  return tableOf(new LandscapeModel(grid, known, options), known, {
    ...options,
    ignored: ordered.length - known.length,
  });
}

/** The table of a model that has been learned from these jobs. */
export function tableOf(
  model: LandscapeModel,
  jobs: readonly ScoredJob[],
  {
    wrapper: asked,
    goodScore,
    ignored,
  }: Pick<CellTableOptions, 'wrapper' | 'goodScore'> & { readonly ignored: number },
): CellTable {
  const { grid } = model;
  const wrapper = model.wrappers.find(({ name }) => name === asked)?.name;
  const weights = shares(model, wrapper);
  const current = new CellStatistics(grid.size);
  const [good, ever] = [new Float64Array(grid.size), new Float64Array(grid.size)];
  model.wrappers.forEach((one, index) => {
    if (wrapper !== undefined && one.name !== wrapper) return;
    for (const job of one.jobs.slice(model.mostProbable[index]!.from)) {
      const cell = grid.indexOf(job)!;
      current.add(cell, job.score);
      if (job.score >= goodScore) good[cell]! += 1;
    }
  });
  const counted = jobs.filter((job) => wrapper === undefined || job.wrapper === wrapper);
  for (const job of counted) ever[grid.indexOf(job)!]! += 1;
  const belief = weights === undefined ? undefined : model.believe(model.mostProbable, weights);
  const rows = Array.from({ length: grid.size }, (_, cell): CellRow => {
    const draws = current.counts[cell]!;
    const reach = normalQuantile * (belief?.deviation(cell) ?? 0);
    const value = belief?.means[cell];
    return {
      ...grid.cell(cell),
      draws,
      mean: draws === 0 ? null : current.means[cell]!,
      goodShare: draws === 0 ? null : good[cell]! / draws,
      expected:
        value === undefined ? null : { value, low: Math.max(0, value - reach), high: Math.min(100, value + reach) },
      drawsEver: ever[cell]!,
    };
  });
  return {
    ...{ rows, jobs: counted.length, ignored },
    wrappers: model.wrappers.map(summary),
    wrapper: wrapper ?? null,
    withoutScores: wrapper === undefined ? (asked ?? null) : null,
    likeness: model.wrappers.length < 2 ? null : model.likeness,
  };
}

/** How much each wrapper counts in points of the score; `undefined` when nothing is known. */
function shares({ wrappers }: LandscapeModel, wrapper: string | undefined): number[] | undefined {
  const weights = wrappers.map(({ name, share }) => (wrapper === undefined ? share : name === wrapper ? 1 : 0));
  const total = weights.reduce<number>((sum, weight) => sum + weight, 0);
  return total === 0 ? undefined : weights.map((weight) => weight / total);
}

function summary({ name, share, spread, current, jobs }: LandscapeModel['wrappers'][number]): WrapperSummary {
  const { from, probability } = current[0]!;
  return { name, share, spread, since: from === 0 ? null : (jobs[from]?.scoredAt ?? null), probability };
}
