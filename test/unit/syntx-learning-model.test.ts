import { describe, expect, it } from 'vitest';

import { SeededRandom } from '../../src/seeded-random.js';
import { cellTable, type CellRow } from '../../src/syntx/learning/cell-table.js';
import { shuffled, standardNormals } from '../../src/syntx/learning/distributions.js';
import { learningOptionsSchema } from '../../src/syntx/learning/policy.js';
import type { Landscape, ScoredJob } from '../../src/syntx/learning/scored-job.js';

const landscape: Landscape = {
  styles: ['plain', 'poetic', 'formal'],
  topics: { animals: ['cats'], law: ['contracts'], space: ['stars'], food: ['bread'] },
};
const cells = landscape.styles.flatMap((style) =>
  Object.keys(landscape.topics).map((category) => ({ style, category })),
);
const options = learningOptionsSchema.parse({});
const start = Date.parse('2026-01-01T00:00:00Z');

interface Source {
  readonly wrapper?: string;
  readonly mean: (cell: number) => number;
  readonly noise?: (cell: number) => number;
  readonly count: number;
  readonly from?: number;
}

/** Scores of cells drawn at random. */
function scores(seed: string, { wrapper = 'sigma', mean, noise = () => 5, count, from = 0 }: Source): ScoredJob[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, (_, index) => {
    const cell = random.between(0, cells.length - 1);
    const score = mean(cell) + noise(cell) * standardNormals(random, 1)[0]!;
    return {
      ...{ id: `${wrapper}-${String(from + index).padStart(5, '0')}`, ...cells[cell]!, wrapper },
      ...{ score: Math.min(100, Math.max(0, score)), scoredAt: start + (from + index) * 60_000 },
      ...{ place: 'archive', fieldCompleteness: null },
    };
  });
}

/** Cell by cell, with style and category effects. */
const hilly = (cell: number) => 50 + 12 * Math.floor(cell / 4) - 6 * (cell % 4) + (cell === 5 ? 25 : 0);
const expectedOf = (rows: readonly CellRow[]) => rows.map(({ expected }) => expected!.value);
const inside = (rows: readonly CellRow[], mean: (cell: number) => number) =>
  rows.filter(({ expected }, cell) => expected!.low <= mean(cell) && mean(cell) <= expected!.high).length;

it('finds the landscape: counts, means, good share, and an interval that holds the truth', () => {
  const jobs = scores('one', { mean: hilly, count: 600 });
  const table = cellTable(jobs, landscape, options);
  expect(table.rows.map(({ style, category }) => ({ style, category }))).toEqual(cells);
  expect(inside(table.rows, hilly)).toBeGreaterThanOrEqual(10);
  table.rows.forEach((row) => {
    const own = jobs.filter(({ style, category }) => style === row.style && category === row.category);
    expect(row.draws).toBe(own.length);
    expect(row.mean).toBeCloseTo(own.reduce((sum, { score }) => sum + score, 0) / own.length, 6);
    expect(row.goodShare).toBeCloseTo(own.filter(({ score }) => score >= 90).length / own.length, 6);
  });
  const { spread } = table.wrappers[0]!;
  expect(spread.noise).toBeGreaterThan(4);
  expect(spread.noise).toBeLessThan(6);
});

it('expects of a cell without scores what its style and its category say', () => {
  const flat = (cell: number) => 50 + 12 * Math.floor(cell / 4) - 6 * (cell % 4);
  const jobs = scores('unseen', { mean: flat, count: 600 }).filter(
    ({ style, category }) => style !== 'formal' || category !== 'animals',
  );
  const row = cellTable(jobs, landscape, options).rows.find(({ draws }) => draws === 0)!;
  expect(row).toMatchObject({ style: 'formal', category: 'animals', mean: null, goodShare: null, drawsEver: 0 });
  expect(Math.abs(row.expected!.value - flat(8))).toBeLessThan(8);
  expect(row.expected!.high - row.expected!.low).toBeGreaterThan(2);
});

it('does not depend on the order in which jobs are listed, and counts a job once', () => {
  const jobs = scores('order', { mean: hilly, count: 150 });
  const mixed = shuffled(new SeededRandom('mix'), [...jobs, ...jobs.slice(0, 40)]);
  expect(cellTable(mixed, landscape, options)).toEqual(cellTable(jobs, landscape, options));
});

it('leaves out styles and categories that are not configured, and says how many', () => {
  const jobs = scores('strange', { mean: hilly, count: 50 });
  const strange = jobs.slice(0, 7).map((job) => ({ ...job, id: `${job.id}-x`, style: 'baroque' }));
  expect(cellTable([...jobs, ...strange], landscape, options)).toMatchObject({ jobs: 50, ignored: 7 });
});

it('knows nothing without scores', () => {
  const table = cellTable([], landscape, options);
  expect(table).toMatchObject({ jobs: 0, wrappers: [], likeness: null });
  expect(table.rows).toHaveLength(12);
  for (const row of table.rows) expect(row).toMatchObject({ draws: 0, mean: null, expected: null });
});

describe('a landscape that is replaced', () => {
  const turned = (cell: number) => hilly(11 - cell);
  const jobs = [
    ...scores('before', { mean: hilly, count: 400 }),
    ...scores('after', { mean: turned, count: 120, from: 400 }),
  ];

  it('is noticed, with the time since when, and only later scores count', () => {
    const table = cellTable(jobs, landscape, options);
    const [wrapper] = table.wrappers;
    expect(Math.abs((wrapper!.since! - start) / 60_000 - 400)).toBeLessThanOrEqual(10);
    expect(wrapper!.probability).toBeGreaterThan(0.5);
    const draws = table.rows.reduce((sum, row) => sum + row.draws, 0);
    expect(Math.abs(draws - 120)).toBeLessThanOrEqual(10);
    expect(table.rows.reduce((sum, { drawsEver }) => sum + drawsEver, 0)).toBe(520);
    expect(inside(table.rows, turned)).toBeGreaterThanOrEqual(9);
  });

  it('is not seen where there is none', () => {
    const calm = scores('calm', { mean: hilly, count: 520 });
    expect(cellTable(calm, landscape, options).wrappers[0]!.since).toBeNull();
  });
});

it('is not misled by a few answers that failed altogether', () => {
  const jobs = scores('outliers', { mean: (cell) => 85 + cell / 2, count: 400 });
  const broken = jobs.map((job, index) => (index % 23 === 0 ? { ...job, score: 0 } : job));
  expect(cellTable(broken, landscape, options).wrappers[0]!.since).toBeNull();
});

it('gives noisy cells wider intervals than calm ones', () => {
  const noise = (cell: number) => (cell % 2 === 0 ? 2 : 20);
  const { rows } = cellTable(scores('uneven', { mean: () => 60, noise, count: 600 }), landscape, options);
  const width = (parity: number) =>
    rows
      .filter((_, cell) => cell % 2 === parity)
      .reduce((sum, { expected }) => sum + expected!.high - expected!.low, 0);
  expect(width(1)).toBeGreaterThan(2 * width(0));
});

describe('several wrappers', () => {
  const opposite = (cell: number) => 40 - (hilly(cell) - 50) / 4;

  it('recovers opposite landscapes on different scales', () => {
    const jobs = [
      ...scores('a', { wrapper: 'sigma', mean: hilly, count: 400 }),
      ...scores('b', { wrapper: 'syntex_system', mean: opposite, noise: () => 2, count: 400 }),
    ];
    const of = (wrapper: string) => cellTable(jobs, landscape, { ...options, wrapper });
    const [sigma, system] = [of('sigma'), of('syntex_system')];
    expect(sigma.likeness).toBeLessThan(-0.3);
    expect(inside(sigma.rows, hilly)).toBeGreaterThanOrEqual(10);
    expect(inside(system.rows, opposite)).toBeGreaterThanOrEqual(10);
    const best = (values: readonly number[]) => values.indexOf(Math.max(...values));
    const worst = (values: readonly number[]) => values.indexOf(Math.min(...values));
    const truth = cells.map((_, cell) => hilly(cell));
    expect(best(expectedOf(sigma.rows))).toBe(best(truth));
    expect(worst(expectedOf(system.rows))).toBe(best(truth));
    expect(sigma.rows.reduce((sum, { draws }) => sum + draws, 0)).toBe(400);
  });

  it('lets a wrapper with few scores learn from one that is alike', () => {
    const many = scores('many', { wrapper: 'sigma', mean: hilly, count: 500 });
    const few = scores('few', { wrapper: 'human', mean: (cell) => hilly(cell) - 20, count: 14, from: 500 });
    const error = (jobs: readonly ScoredJob[]) =>
      expectedOf(cellTable(jobs, landscape, { ...options, wrapper: 'human' }).rows).reduce(
        (sum, value, cell) => sum + Math.abs(value - (hilly(cell) - 20)),
        0,
      ) / cells.length;
    expect(error([...many, ...few])).toBeLessThan(0.7 * error(few));
  });

  it('shows all of them for one that has no scores yet, as the next draws are made, and names it', () => {
    const jobs = [
      ...scores('a', { wrapper: 'sigma', mean: hilly, count: 100 }),
      ...scores('b', { wrapper: 'human', mean: opposite, count: 100 }),
    ];
    const all = cellTable(jobs, landscape, options);
    expect(all).toMatchObject({ wrapper: null, withoutScores: null });
    expect(cellTable(jobs, landscape, { ...options, wrapper: 'new' })).toEqual({ ...all, withoutScores: 'new' });
    expect(cellTable(jobs, landscape, { ...options, wrapper: 'human' })).toMatchObject({ wrapper: 'human', jobs: 100 });
  });

  it('keeps a rare wrapper that is asked for', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const jobs = names.flatMap((wrapper, index) => scores(wrapper, { wrapper, mean: hilly, count: 30 - index }));
    expect(cellTable(jobs, landscape, options).wrappers.map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd']);
    expect(cellTable(jobs, landscape, { ...options, wrapper: 'e' }).wrappers.map(({ name }) => name)).toContain('e');
  });
});
