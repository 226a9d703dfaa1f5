import { expect, it } from 'vitest';

import { Turns } from '../../src/turns.js';

it('work begins when the one before it has ended, also where that failed', async () => {
  const turns = new Turns();
  const order: string[] = [];
  const first = turns.take(async () => {
    order.push('first begins');
    await Promise.resolve();
    order.push('first ends');
    throw new Error('first');
  });
  const second = turns.take(() => Promise.resolve(order.push('second')));
  await expect(first).rejects.toThrow('first');
  await second;
  expect(order).toEqual(['first begins', 'first ends', 'second']);
});

it('an abort ends the wait for a turn, and work that has begun comes to its end', async () => {
  const turns = new Turns();
  const aborting = new AbortController();
  let release = (): void => undefined;
  const held = turns.take(() => new Promise<string>((resolve) => (release = () => resolve('done'))), aborting.signal);
  const ran: string[] = [];
  const waiting = turns.take(() => Promise.resolve(ran.push('waiting')), aborting.signal);
  await Promise.resolve();
  aborting.abort(new Error('cancelled'));
  await expect(waiting).rejects.toThrow('cancelled');
  await expect(turns.take(() => Promise.resolve(ran.push('late')), aborting.signal)).rejects.toThrow('cancelled');
  release();
  expect(await held).toBe('done');
  expect(await turns.take(() => Promise.resolve(ran.push('next')))).toBe(1);
});
