import { expect, it } from 'vitest';

import { figuresOf, type LearningFigures } from '../../bench/learning/figures.js';
import { policies } from '../../bench/learning/policies.js';
import { scenarios } from '../../bench/learning/scenarios.js';
import { simulate } from '../../bench/learning/simulate.js';

/** One short world, always the same one: enough to see that it learns, not how well; `npm run bench` measures that. */
function figures(policy: string, kind: string, days: number): LearningFigures {
  const scenario = scenarios.find(({ name }) => name === kind)!;
  return figuresOf([simulate(policies[policy]!(scenario), scenario, days, 'unit test')]);
}

it('thompson learns, and is back at the top soon after the landscape was replaced', () => {
  const learned = figures('thompson', 'plain', 6);
  expect(learned.share).toBeGreaterThan(0.5);
  expect(learned.share).toBeGreaterThan(1.3 * figures('patterns', 'plain', 6).share);
  expect(learned.shareAfter300).toBeGreaterThan(0.75);
});

/** Four of the worlds that the aims are about, of thirty days each; the bench has forty. */
it(
  'thompson comes to its aims: share, cells in ten days, and scores until it is back after the change',
  { timeout: 60_000 },
  () => {
    const scenario = scenarios.find(({ name }) => name === 'plain')!;
    const policy = policies['thompson']!;
    const worlds = ['a', 'b', 'c', 'd'].map((seed) => simulate(policy(scenario), scenario, 30, `unit test ${seed}`));
    const learned = figuresOf(worlds);
    expect(learned.share).toBeGreaterThan(0.9);
    expect(learned.worstShare).toBeGreaterThan(0.8);
    expect(learned.cellsInTenDays).toBeGreaterThanOrEqual(24);
    expect(learned.scoresTo90 ?? Infinity).toBeLessThanOrEqual(300);
  },
);

it('thompson learns from scores that come a day late', () => {
  expect(figures('thompson', 'a day late', 8).share).toBeGreaterThan(0.3);
});
