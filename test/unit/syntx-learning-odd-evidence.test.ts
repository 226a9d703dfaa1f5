import { describe, expect, it } from 'vitest';

import { SeededRandom } from '../../src/seeded-random.js';
import { cellTable } from '../../src/syntx/learning/cell-table.js';
import type { Drawn } from '../../src/syntx/learning/draw.js';
import { drawPrompts, learningOptionsSchema } from '../../src/syntx/learning/policy.js';
import { standardNormals } from '../../src/syntx/learning/distributions.js';
import type { Cell, Landscape, ScoredJob } from '../../src/syntx/learning/scored-job.js';

const landscape: Landscape = {
  styles: ['technisch', 'kreativ', 'akademisch', 'casual'],
  topics: { harmlos: ['Katzen'], bildung: ['Physik'], gesellschaft: ['Klima'], technologie: ['Robotik'] },
};
const cellsOf = ({ styles, topics }: Landscape): Cell[] =>
  styles.flatMap((style) => Object.keys(topics).map((category) => ({ style, category })));
const cells = cellsOf(landscape);
const options = learningOptionsSchema.parse({});

/** Scores in the order of the list, a minute apart. */
function jobs(scores: readonly (Cell & { readonly score: number; readonly wrapper?: string })[]): ScoredJob[] {
  return scores.map(({ wrapper = 'sigma', ...rest }, index) => ({
    ...{ ...rest, wrapper, id: String(index).padStart(5, '0'), scoredAt: index * 60_000 },
    ...{ place: 'archive', fieldCompleteness: null },
  }));
}

function draw(evidence: readonly ScoredJob[], where = landscape, count = 20): Drawn {
  return drawPrompts({ jobs: evidence, pending: [], landscape: where, count, seed: 'odd' }, options);
}

const distinct = ({ prompts }: Drawn) => new Set(prompts.map(({ style, category }) => `${style}/${category}`)).size;
const shareOf = ({ prompts }: Drawn, cell: Cell) =>
  prompts.filter(({ style, category }) => style === cell.style && category === cell.category).length / prompts.length;

/** Every number of the table is one, every interval holds its value. */
function check(evidence: readonly ScoredJob[], where = landscape): void {
  const table = cellTable(evidence, where, options);
  for (const { expected } of table.rows) {
    expect(expected!.low).toBeLessThanOrEqual(expected!.value);
    expect(expected!.high).toBeGreaterThanOrEqual(expected!.value);
  }
  for (const { spread } of table.wrappers) expect(Object.values(spread).every((value) => value > 0)).toBe(true);
}

describe('few scores', () => {
  it.each([1, 2, 3, 5])('%i: it goes on looking everywhere', (count) => {
    const evidence = jobs(cells.slice(0, count).map((cell, index) => ({ ...cell, score: 60 + 10 * index })));
    check(evidence);
    expect(distinct(draw(evidence))).toBeGreaterThan(6);
  });

  it('one perfect score is no reason to draw nothing else', () => {
    expect(shareOf(draw(jobs([{ ...cells[0]!, score: 100 }])), cells[0]!)).toBeLessThan(0.5);
  });
});

describe('scores that say nothing', () => {
  it.each([0, 53, 100])('all %i: every cell stays as good as any other', (score) => {
    const evidence = jobs(Array.from({ length: 320 }, (_, index) => ({ ...cells[index % cells.length]!, score })));
    check(evidence);
    expect(distinct(draw(evidence))).toBeGreaterThan(8);
    expect(cellTable(evidence, landscape, options).wrappers[0]!.since).toBeNull();
  });
});

describe('scores of 0 and 100 only', () => {
  const random = new SeededRandom('coins');
  const chance = (cell: number) => (cell === 6 ? 0.9 : 0.3);
  const evidence = jobs(
    Array.from({ length: 480 }, (_, index) => {
      const cell = index % cells.length;
      return { ...cells[cell]!, score: random.next() < chance(cell) ? 100 : 0 };
    }),
  );

  it('show the cell that succeeds more often, and no change of the landscape', () => {
    check(evidence);
    const { rows, wrappers } = cellTable(evidence, landscape, options);
    const best = [...rows].sort((a, b) => b.expected!.value - a.expected!.value)[0]!;
    expect(best).toMatchObject(cells[6]!);
    expect(wrappers[0]!.since).toBeNull();
    expect(shareOf(draw(evidence), cells[6]!)).toBeGreaterThan(0.6);
  });
});

describe('a landscape of one line', () => {
  it.each([
    ['style', { styles: ['technisch'], topics: landscape.topics }],
    ['category', { styles: landscape.styles, topics: { harmlos: ['Katzen'] } }],
  ] as const)('one %s only: it finds the best of the others', (_, where) => {
    const line = cellsOf(where);
    const random = new SeededRandom('line');
    const evidence = jobs(
      Array.from({ length: 120 }, (__, index) => {
        const cell = index % line.length;
        return { ...line[cell]!, score: (cell === 2 ? 90 : 60) + 4 * standardNormals(random, 1)[0]! };
      }),
    );
    check(evidence, where);
    expect(shareOf(draw(evidence, where), line[2]!)).toBeGreaterThan(0.9);
  });

  it('a single cell is drawn, with scores and without', () => {
    const where = { styles: ['technisch'], topics: { harmlos: ['Katzen'] } };
    const evidence = jobs([{ style: 'technisch', category: 'harmlos', score: 70 }]);
    check(evidence, where);
    expect(draw(evidence, where).prompts).toHaveLength(20);
    expect(draw([], where).prompts).toHaveLength(20);
  });
});

describe('what is not configured', () => {
  it('scores of unknown styles and categories alone: it explores, and none of them teaches', () => {
    const evidence = jobs([{ style: 'barock', category: 'harmlos', score: 100 }]);
    expect(draw(evidence)).toMatchObject({ learnedFrom: null, taught: [] });
    expect(cellTable(evidence, landscape, options)).toMatchObject({ jobs: 0, ignored: 1 });
  });

  it('a style that is new has no scores, and is looked at', () => {
    const where = { ...landscape, styles: [...landscape.styles, 'lakonisch'] };
    const random = new SeededRandom('new style');
    const evidence = jobs(
      Array.from({ length: 400 }, (_, index) => ({
        ...{ ...cells[index % cells.length]!, score: 70 + 8 * standardNormals(random, 1)[0]! },
      })),
    );
    const drawn = draw(evidence, where, 60);
    expect(drawn.prompts.some(({ style }) => style === 'lakonisch')).toBe(true);
  });
});

describe('two wrappers with opposite landscapes', () => {
  const random = new SeededRandom('opposite');
  const mean = (cell: number, wrapper: string) => (wrapper === 'sigma' ? 40 + 3 * cell : 95 - 3 * cell);
  const evidence = (share: (index: number) => string) =>
    jobs(
      Array.from({ length: 640 }, (_, index) => {
        const cell = random.between(0, cells.length - 1);
        const wrapper = share(index);
        return { ...cells[cell]!, wrapper, score: mean(cell, wrapper) + 4 * standardNormals(random, 1)[0]! };
      }),
    );
  const rankOf = ({ prompts }: Drawn) =>
    prompts.reduce(
      (sum, { style, category }) => sum + cells.findIndex((cell) => cell.style === style && cell.category === category),
      0,
    ) / prompts.length;

  it('the one that scores four of five prompts decides', () => {
    expect(rankOf(draw(evidence((index) => (index % 5 === 0 ? 'syntex_system' : 'sigma'))))).toBeGreaterThan(11);
    expect(rankOf(draw(evidence((index) => (index % 5 === 0 ? 'sigma' : 'syntex_system'))))).toBeLessThan(4);
  });

  it('one that gives every answer the same score decides nothing', () => {
    const flat = evidence((index) => (index % 2 === 0 ? 'sigma' : 'flat')).map((job) =>
      job.wrapper === 'flat' ? { ...job, score: 98 } : job,
    );
    check(flat);
    expect(rankOf(draw(flat))).toBeGreaterThan(11);
  });
});

it('a clock that was set back, or is years ahead, changes the order and breaks nothing', () => {
  const random = new SeededRandom('clock');
  const evidence = jobs(
    Array.from({ length: 200 }, (_, index) => ({
      ...{ ...cells[index % cells.length]!, score: 70 + 5 * standardNormals(random, 1)[0]! },
    })),
  ).map((job, index) => ({
    ...job,
    scoredAt: index % 50 === 7 ? Date.parse('2099-01-01T00:00:00Z') : job.scoredAt,
  }));
  check(evidence);
  expect(draw(evidence).prompts).toHaveLength(20);
});

it('a fifth wrapper that answers everything lately is learned for, whatever four others did before', () => {
  const of = (wrapper: string, count: number) =>
    Array.from({ length: count }, (_, index) => ({
      ...cells[index % cells.length]!,
      ...{ wrapper, score: 60 + (index % cells.length) + (index % 3) },
    }));
  const former = ['human', 'sigma', 'syntex_system', 'economics'].flatMap((wrapper) => of(wrapper, 208));
  const evidence = jobs([...former, ...of('sigma_v2', 208)]);
  check(evidence);
  expect(cellTable(evidence, landscape, options).wrappers).toContainEqual(
    expect.objectContaining({ name: 'sigma_v2', share: 1 }),
  );
  expect(draw(evidence).prompts).toHaveLength(20);
});
