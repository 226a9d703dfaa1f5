import { describe, expect, it } from 'vitest';

import { SeededRandom } from '../../src/seeded-random.js';
import { shuffled } from '../../src/syntx/learning/distributions.js';
import type { DrawInput, Drawn } from '../../src/syntx/learning/draw.js';
import { drawPrompts, learningOptionsSchema } from '../../src/syntx/learning/policy.js';
import type { Cell, Landscape, ScoredJob } from '../../src/syntx/learning/scored-job.js';

const landscape: Landscape = {
  styles: ['technisch', 'kreativ', 'akademisch', 'casual'],
  topics: {
    harmlos: ['Katzen', 'Kochen', 'Yoga'],
    bildung: ['Physik', 'Chemie'],
    gesellschaft: ['Klima', 'Migration', 'Wirtschaft'],
  },
};
const cells = landscape.styles.flatMap((style) =>
  Object.keys(landscape.topics).map((category) => ({ style, category })),
);
const options = (changes: object = {}) => learningOptionsSchema.parse(changes);
const start = Date.parse('2026-02-01T00:00:00Z');
let made = 0;

function job(cell: Cell, score: number, changes: Partial<ScoredJob> = {}): ScoredJob {
  made += 1;
  return {
    ...{ id: `2026_${String(made).padStart(6, '0')}`, style: cell.style, category: cell.category },
    ...{ wrapper: 'sigma', score, scoredAt: start + made * 60_000, place: 'processed', fieldCompleteness: 100 },
    ...changes,
  };
}

const draw = (input: Partial<DrawInput>, changes: object = {}): Drawn =>
  drawPrompts({ jobs: [], pending: [], landscape, count: 20, seed: 'run-1', ...input }, options(changes));
const shareOf = (drawn: Drawn, test: (prompt: Drawn['prompts'][number]) => boolean) =>
  drawn.prompts.filter(test).length / drawn.prompts.length;

/** Scores around 60, and 95 in one cell. */
function oneGoodCell(good: Cell, each = 6): ScoredJob[] {
  const random = new SeededRandom('good');
  return Array.from({ length: each }, () => cells)
    .flat()
    .map((cell) =>
      job(cell, (cell.style === good.style && cell.category === good.category ? 92 : 57) + 6 * random.next()),
    );
}

describe('thompson', () => {
  const good = cells[7]!;

  it('draws the good cell most, and says why with figures', () => {
    const drawn = draw({ jobs: oneGoodCell(good) });
    const isGood = (cell: Cell) => cell.style === good.style && cell.category === good.category;
    expect(shareOf(drawn, isGood)).toBeGreaterThan(0.7);
    const { reason } = drawn.prompts.find(isGood)!;
    expect(reason.kind).toBe('sampled');
    expect(reason.text).toMatch(/expected 9\d\.\d \(\d+\.\d to \d+\.\d\) after 6 scores, rank 1 of 12/);
    expect(drawn.learnedFrom).toMatchObject({ sampleCount: 72, averageFieldCompleteness: 100 });
    expect(drawn.learnedFrom!.topStyles[0]).toBe(good.style);
    expect(drawn.learnedFrom!.topCategories[0]).toBe(good.category);
  });

  it('learns from failures: a cell with bad scores in error/ is left alone', () => {
    const bad = cells.slice(0, 6).flatMap((cell) => Array.from({ length: 8 }, () => job(cell, 20, { place: 'error' })));
    const fair = cells.slice(6).flatMap((cell) => Array.from({ length: 8 }, () => job(cell, 80, { place: 'archive' })));
    const drawn = draw({ jobs: [...bad, ...fair] });
    expect(shareOf(drawn, ({ style }) => style === 'technisch' || style === 'kreativ')).toBeLessThan(0.15);
    expect(drawn.taught).toHaveLength(96);
  });

  it('was taught by what the model has read: the latest scores of four wrappers', () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const jobs = names.flatMap((wrapper, index) =>
      Array.from({ length: 30 - index }, () => job(cells[index]!, 10 * index, { wrapper })),
    );
    const drawn = draw({ jobs });
    const read = jobs.filter(({ wrapper }) => wrapper !== 'e');
    expect([...drawn.taught].sort()).toEqual(read.map(({ id }) => id).sort());
    const mean = read.reduce((sum, { score }) => sum + score, 0) / read.length;
    expect(drawn.learnedFrom!.sampleCount).toBe(read.length);
    expect(drawn.learnedFrom!.averageScore).toBeCloseTo(mean, 2);
    expect(draw({ jobs }, { memoryScores: 100 }).taught).not.toContain(jobs[0]!.id);
  });

  it('gives the same draws for the same seed and jobs, in whatever order, and others for another seed', () => {
    const jobs = oneGoodCell(good, 2);
    const again = shuffled(new SeededRandom('mix'), jobs);
    expect(draw({ jobs: again })).toEqual(draw({ jobs }));
    expect(draw({ jobs, seed: 'run-2' }).prompts).not.toEqual(draw({ jobs }).prompts);
  });

  it('explores at random while nothing is scored', () => {
    const drawn = draw({ count: 240 });
    expect(drawn).toMatchObject({ learnedFrom: null, taught: [] });
    expect(new Set(drawn.prompts.map(({ style, category }) => `${style}/${category}`)).size).toBe(12);
    expect(drawn.prompts.every(({ reason }) => reason.kind === 'random')).toBe(true);
  });

  it('keeps one of twenty draws for the cell that was not drawn for longest', () => {
    const jobs = Array.from({ length: 30 }, () => oneGoodCell(good, 1)).flat();
    const forgotten = jobs.filter(({ style, category }) => !(style === 'casual' && category === 'bildung'));
    const drawn = draw({ jobs: forgotten }, { overdueAfterDraws: 100 });
    const covering = drawn.prompts.filter(({ reason }) => reason.kind === 'coverage');
    expect(covering).toMatchObject([{ style: 'casual', category: 'bildung' }]);
    expect(covering[0]!.reason.text).toContain(`last ${forgotten.length} draws`);
    const onItsWay = draw(
      { jobs: forgotten, pending: [{ style: 'casual', category: 'bildung' }] },
      { overdueAfterDraws: 100 },
    );
    expect(onItsWay.prompts.filter(({ reason }) => reason.kind === 'coverage')).toEqual([]);
  });

  it('spreads what is on its way: what will be known soon is not asked again and again', () => {
    const jobs = cells.flatMap((cell) => [job(cell, 70), job(cell, 72)]);
    const pending = Array.from({ length: 60 }, () => cells[0]!);
    const count = (drawn: Drawn) =>
      drawn.prompts.filter(({ style, category }) => style === cells[0]!.style && category === cells[0]!.category)
        .length;
    const seeds = Array.from({ length: 10 }, (_, index) => `seed ${index}`);
    const total = (waiting: readonly Cell[]) =>
      seeds.reduce((sum, seed) => sum + count(draw({ jobs, pending: waiting, seed })), 0);
    expect(total(pending)).toBeLessThan(total([]));
  });

  it('deals the topics of a category in turn', () => {
    const { prompts } = draw({ jobs: oneGoodCell(good, 8), count: 9 });
    const dealt = prompts.filter(({ category }) => category === good.category).map(({ topic }) => topic);
    const topics = landscape.topics[good.category]!;
    for (let index = 0; index + topics.length <= dealt.length; index += topics.length) {
      expect(new Set(dealt.slice(index, index + topics.length)).size).toBe(topics.length);
    }
  });

  it('draws for one wrapper what is bad for the other', () => {
    const jobs = oneGoodCell(good).flatMap((one) => [one, job(one, 100 - one.score, { wrapper: 'syntex_system' })]);
    const isGood = (cell: Cell) => cell.style === good.style && cell.category === good.category;
    expect(shareOf(draw({ jobs }, { wrapper: 'sigma' }), isGood)).toBeGreaterThan(0.7);
    expect(shareOf(draw({ jobs }, { wrapper: 'syntex_system' }), isGood)).toBeLessThan(0.1);
    expect(draw({ jobs }, { wrapper: 'unheard-of' }).prompts).toHaveLength(20);
  });
});

describe('patterns: the rule of the original', () => {
  const patterns = { policy: 'patterns' };

  it('takes styles from the first three distinct ones, best score first, then oldest name', () => {
    const [technisch, kreativ, akademisch, casual] = landscape.styles.map((style) => ({ style, category: 'harmlos' }));
    const jobs = [
      job(kreativ!, 91, { id: 'd' }),
      job(casual!, 100, { id: 'c' }),
      job(technisch!, 100, { id: 'b' }),
      job(technisch!, 100, { id: 'a' }),
      job(akademisch!, 90, { id: 'e' }),
    ];
    const drawn = draw({ jobs }, patterns);
    expect(drawn.learnedFrom!.topStyles).toEqual(['technisch', 'casual', 'kreativ']);
    expect(drawn.learnedFrom).toMatchObject({ sampleCount: 5, averageScore: 96.2, topCategories: ['harmlos'] });
    expect(drawn.taught).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(new Set(draw({ jobs, count: 8 }, patterns).prompts.map(({ style }) => style))).not.toContain('akademisch');
  });

  it('rounds means as Python does, a half to the even digit', () => {
    const jobs = Array.from({ length: 8 }, (_, index) => job(cells[0]!, index === 0 ? 98 : 97));
    expect(draw({ jobs }, patterns).learnedFrom!.averageScore).toBe(97.12);
  });

  it('reads processed/ only, from 90 points on, and the 50 best at most', () => {
    const jobs = [
      ...Array.from({ length: 60 }, () => job(cells[0]!, 95)),
      job(cells[3]!, 100, { place: 'archive' }),
      job(cells[6]!, 100, { place: 'error' }),
      job(cells[9]!, 89),
    ];
    expect(draw({ jobs }, patterns)).toMatchObject({ learnedFrom: { sampleCount: 50, topStyles: ['technisch'] } });
  });

  it('is random without a job of 90 points, and never draws a topic twice', () => {
    const drawn = draw({ jobs: [job(cells[0]!, 89)] }, patterns);
    expect(drawn.learnedFrom).toBeNull();
    expect(drawn.taught).toEqual([]);
    expect(drawn.prompts.map(({ topic }) => topic).sort()).toEqual(Object.values(landscape.topics).flat().sort());
  });
});

it('uniform draws every cell equally, whatever the scores', () => {
  const { prompts } = draw({ jobs: oneGoodCell(cells[0]!), count: 1200 }, { policy: 'uniform' });
  for (const cell of cells) {
    const count = prompts.filter(({ style, category }) => style === cell.style && category === cell.category).length;
    expect(count).toBeGreaterThan(50);
    expect(count).toBeLessThan(150);
  }
});
