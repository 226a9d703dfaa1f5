import { setImmediate } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { drawInThread } from '../../src/syntx/learning/draw-in-thread.js';
import { drawPrompts, learningOptionsSchema } from '../../src/syntx/learning/policy.js';
import type { ScoredJob } from '../../src/syntx/learning/scored-job.js';

const styles = Array.from({ length: 12 }, (_, index) => `style ${index}`);
const topics = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`category ${index}`, ['one', 'other']]));
const jobs = Array.from({ length: 2000 }, (_, index): ScoredJob => {
  const names = { style: styles[index % 12]!, category: `category ${(index * 7) % 11}`, wrapper: 'sigma' };
  const place = 'archive' as const;
  return {
    id: `job ${index}`,
    ...names,
    score: 40 + ((index * 37) % 60),
    scoredAt: index,
    place,
    fieldCompleteness: 90,
  };
});

it('a draw over many cells is the same in its thread, and leaves the process free meanwhile', async () => {
  const input = { jobs, pending: [], landscape: { styles, topics }, count: 20, seed: 'the same' };
  const options = learningOptionsSchema.parse({});
  let isOver = false;
  const drawing = drawInThread(input, options, { signal: new AbortController().signal }).finally(() => (isOver = true));
  // Where the draw holds up the process, there are one or two turns until it is over.
  let turns = 0;
  for (; !isOver; turns++) await setImmediate();
  expect(turns).toBeGreaterThan(100);
  expect(await drawing).toEqual(drawPrompts(input, options));
});
