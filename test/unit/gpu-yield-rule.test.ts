import { pino } from 'pino';
import { afterEach, expect, test, vi } from 'vitest';

import { decideYield, type YieldFacts } from '../../src/gpu/yield-rule.js';
import { YieldWatch } from '../../src/gpu/yield-watch.js';

// By the global timers, which can be faked.
vi.mock('node:timers/promises', () => ({
  setTimeout: (ms: number, _: unknown, { signal }: { signal: AbortSignal }) =>
    new Promise((resolve) => {
      setTimeout(resolve, ms);
      signal.onabort = resolve;
    }),
}));

afterEach(() => vi.useRealTimers());

const minute = 60_000;
const facts: YieldFacts = {
  ...{ ownPriority: 4, sinceStartMs: minute, backlog: new Map(), equalWaitingMs: undefined },
  turnMs: 30 * minute,
};

test.each<[string, Partial<YieldFacts>, RegExp | undefined]>([
  ['nothing waits', {}, undefined],
  ['more urgent work waits', { backlog: new Map([[2, 1]]) }, /priority 2/],
  [
    'the most urgent is named',
    {
      backlog: new Map([
        [3, 5],
        [1, 2],
      ]),
    },
    /2 waiting with priority 1/,
  ],
  ['a count of zero is no work', { backlog: new Map([[1, 0]]) }, undefined],
  ['less urgent work waits', { backlog: new Map([[5, 9]]), equalWaitingMs: undefined }, undefined],
  ['urgent work within the first 6 s', { sinceStartMs: 5_999, backlog: new Map([[1, 1]]) }, undefined],
  ['urgent work after 6 s', { sinceStartMs: 6_000, backlog: new Map([[1, 1]]) }, /priority 1/],
  ['equal work for 30 min', { backlog: new Map([[4, 1]]), equalWaitingMs: 30 * minute }, undefined],
  [
    'equal work for longer',
    { backlog: new Map([[4, 1]]), equalWaitingMs: 30 * minute + 1 },
    /same priority 4 has waited for 30 min/,
  ],
  ['turns of a few seconds', { backlog: new Map([[4, 1]]), equalWaitingMs: 4_500, turnMs: 4_000 }, /waited for 4 s/],
])('%s', (_name, change, reason) => {
  const decision = decideYield({ ...facts, ...change });
  if (reason === undefined) expect(decision).toBe('continue');
  else expect(decision).toEqual({ yield: expect.stringMatching(reason) as string });
});

/** A watch with a clock of its own, which the queue's answers move on. */
function watch(answers: ((() => never) | ReadonlyMap<number, number>)[], stepMs: number) {
  let now = 0;
  const lines: string[] = [];
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
  const yieldWatch = new YieldWatch({
    ownPriority: 4,
    turnMs: 30 * minute,
    pollMs: 1,
    now: () => now,
    log,
    readBacklog: () => {
      const answer = answers.length > 1 ? answers.shift() : answers[0];
      now += stepMs;
      return Promise.resolve(typeof answer === 'function' ? answer() : (answer ?? new Map()));
    },
  });
  return { yieldWatch, lines, now: () => now };
}

test('equal work counts from when it was first seen, without a break', async () => {
  const equal = new Map([[4, 1]]);
  const none = new Map<number, number>();
  const { yieldWatch, now } = watch([equal, equal, none, equal], 20 * minute);
  await vi.waitUntil(() => yieldWatch.yieldRequested !== undefined, { interval: 1 });
  expect(yieldWatch.yieldRequested?.reason).toContain('40 min');
  expect(now()).toBe(6 * 20 * minute);
  await yieldWatch.stop();
});

test('a queue that cannot be read is said once and is no reason to yield', async () => {
  const fails = () => {
    throw new Error('server away');
  };
  const { yieldWatch, lines, now } = watch([fails], minute);
  await vi.waitUntil(() => now() > 20 * minute, { interval: 1 });
  await yieldWatch.stop();
  expect(yieldWatch.yieldRequested).toBeUndefined();
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('server away');
});

test('urgent work is seen within 10 s, whenever it comes', async () => {
  vi.useFakeTimers();
  const log = pino({ level: 'silent' });
  for (const comesAfterMs of [0, 5_900, 6_100, 60_000]) {
    let backlog = new Map<number, number>();
    const readBacklog = () => Promise.resolve(backlog);
    const yieldWatch = new YieldWatch({ ownPriority: 4, turnMs: 30 * minute, readBacklog, log });
    await vi.advanceTimersByTimeAsync(comesAfterMs);
    expect(yieldWatch.yieldRequested).toBeUndefined();
    backlog = new Map([[2, 1]]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(yieldWatch.yieldRequested?.reason).toContain('priority 2');
    await yieldWatch.stop();
  }
});
