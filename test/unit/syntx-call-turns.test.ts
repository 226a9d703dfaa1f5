import { EventEmitter, once } from 'node:events';
import { setImmediate as tick } from 'node:timers/promises';

import { expect, it } from 'vitest';

import { CallTurns } from '../../src/syntx/wrapper/call-turns.js';

const never = new AbortController().signal;

/** A call that ends when it is told to. */
function call() {
  const ending = new EventEmitter();
  const ended = once(ending, 'end');
  return { end: () => ending.emit('end'), work: () => ended };
}

it('lets so many calls go on, the others in the order in which they came, each told why', async () => {
  const turns = new CallTurns(2, { limitMs: 60_000 });
  const calls = Array.from({ length: 5 }, call);
  const begun: number[] = [];
  const waits: string[] = [];
  const runs = calls.map(({ work }, index) => {
    const begin = () => {
      begun.push(index);
      return work();
    };
    return turns.run(begin, { signal: never, onWait: ({ code }) => waits.push(`${index} ${code}`) });
  });
  await tick();
  expect(begun).toEqual([0, 1]);
  expect(waits).toEqual(['2 SERVICE_BUSY', '3 SERVICE_BUSY', '4 SERVICE_BUSY']);
  calls[1]?.end();
  await tick();
  expect(begun).toEqual([0, 1, 2]);
  for (const { end } of calls) end();
  await Promise.all(runs);
  expect(begun).toEqual([0, 1, 2, 3, 4]);
});

it('one that fails, is cancelled while it waits, or has waited long enough takes nobody’s turn away', async () => {
  const turns = new CallTurns(1, { limitMs: 40 });
  const [first, last] = [call(), call()];
  const running = turns.run(first.work, { signal: never });
  const controller = new AbortController();
  const cancelled = turns.run(() => Promise.resolve('cancelled'), { signal: controller.signal });
  controller.abort(new Error('no longer wanted'));
  await expect(cancelled).rejects.toThrow('no longer wanted');
  const late = turns.run(() => Promise.resolve('late'), { signal: never });
  await expect(late).rejects.toMatchObject({ code: 'SERVICE_BUSY', retryable: true });

  const failing = turns.run(() => Promise.reject(new Error('broken')), { signal: never });
  const next = turns.run(last.work, { signal: never });
  first.end();
  await running;
  await expect(failing).rejects.toThrow('broken');
  last.end();
  await next;
  let waited = false;
  await turns.run(() => Promise.resolve(), { signal: never, onWait: () => (waited = true) });
  expect(waited).toBe(false);
});
