import { describe, expect, it } from 'vitest';

import { SlotQueue } from '../../src/workflows/slot-queue.js';

const empty = { holders: [], waiting: [] };
const request = (workflowId: string, max = 2, number = 1) => ({ workflowId, number, max });
const idsOf = (requests: readonly { workflowId: string }[]) => requests.map(({ workflowId }) => workflowId);

describe('places for character runs', () => {
  it('are given in the order of asking, and no more of them than there are', () => {
    const queue = new SlotQueue(empty);
    for (const id of ['a', 'b', 'c', 'd']) queue.request(request(id));
    expect(idsOf(queue.takeGrants())).toEqual(['a', 'b']);
    expect(idsOf(queue.state.waiting)).toEqual(['c', 'd']);

    queue.release('b');
    expect(idsOf(queue.takeGrants())).toEqual(['c']);
    queue.release('a');
    expect(idsOf(queue.takeGrants())).toEqual(['d']);
    expect(queue.hasNews).toBe(false);
    queue.release('c');
    queue.release('d');
    expect(queue.isEmpty).toBe(true);
  });

  it('go to whoever presses more, then to whoever asked first; nobody is put out', () => {
    const queue = new SlotQueue(empty);
    const levels = { a: 'low', b: 'normal', c: undefined, d: 'low', e: 'high', f: 'urgent', g: 'high' } as const;
    for (const [id, level] of Object.entries(levels)) queue.request({ ...request(id, 1), ...(level && { level }) });
    expect(idsOf(queue.takeGrants())).toEqual(['a']);
    expect(idsOf(queue.state.waiting)).toEqual(['f', 'e', 'g', 'b', 'c', 'd']);
    // Asked again with another level.
    queue.request({ ...request('d', 1, 2), level: 'high' });
    expect(idsOf(queue.state.waiting)).toEqual(['f', 'e', 'g', 'd', 'b', 'c']);
    queue.release('a');
    expect(idsOf(queue.takeGrants())).toEqual(['f']);
  });

  it('are told again to a holder that asks again, and are not given twice', () => {
    const queue = new SlotQueue(empty);
    queue.request(request('a'));
    queue.takeGrants();
    queue.request(request('a', 2, 2));
    expect(queue.takeGrants()).toEqual([request('a', 2, 2)]);
    expect(idsOf(queue.state.holders)).toEqual(['a']);
  });

  it('keep the position of one that asks again while it waits', () => {
    const queue = new SlotQueue({ holders: [request('a', 1)], waiting: [request('b', 1), request('c', 1)] });
    queue.request(request('b', 1, 2));
    queue.release('a');
    expect(queue.takeGrants()).toEqual([request('b', 1, 2)]);
  });

  it('are not given to one that has gone before it was told', () => {
    const queue = new SlotQueue(empty);
    queue.request(request('a', 1));
    queue.request(request('b', 1));
    queue.release('a');
    expect(idsOf(queue.takeGrants())).toEqual(['b']);
  });

  it('follow the limit of whoever waits next', () => {
    const queue = new SlotQueue({ holders: [request('a', 1)], waiting: [] });
    queue.request(request('b', 1));
    expect(queue.hasNews).toBe(false);
    queue.request(request('b', 2));
    queue.release('nobody');
    expect(idsOf(queue.takeGrants())).toEqual(['b']);
  });
});
