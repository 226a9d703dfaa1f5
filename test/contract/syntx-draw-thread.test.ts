import { setImmediate } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { cellTableInThread } from '../../src/syntx/learning/cell-table-in-thread.js';
import { cellTable } from '../../src/syntx/learning/cell-table.js';
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

/** Where work holds up the process, there are one or two turns until it is over. */
async function turnsUntil(work: Promise<unknown>): Promise<number> {
  let isOver = false;
  const ending = work.finally(() => (isOver = true));
  let turns = 0;
  for (; !isOver; turns++) await setImmediate();
  await ending;
  return turns;
}

it('what is learned of many cells is the same in its thread, and leaves the process free meanwhile', async () => {
  const options = learningOptionsSchema.parse({});
  const learning = cellTableInThread(jobs, { styles, topics }, options);
  expect(await turnsUntil(learning)).toBeGreaterThan(100);
  expect(await learning).toEqual(cellTable(jobs, { styles, topics }, options));
});

it('a draw over many cells is the same in its thread, and leaves the process free meanwhile', async () => {
  const input = { jobs, pending: [], landscape: { styles, topics }, count: 20, seed: 'the same' };
  const options = learningOptionsSchema.parse({});
  const drawing = drawInThread(input, options, { signal: new AbortController().signal });
  expect(await turnsUntil(drawing)).toBeGreaterThan(100);
  expect(await drawing).toEqual(drawPrompts(input, options));
});
