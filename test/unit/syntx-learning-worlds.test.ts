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

it('thompson learns from scores that come a day late', () => {
  expect(figures('thompson', 'a day late', 8).share).toBeGreaterThan(0.3);
});
