import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { PromptTickInput } from '../../src/client.js';
import type { ConsumePromptsResult } from '../../src/workflows/consume.js';
import type { ProducePromptsResult } from '../../src/workflows/produce.js';
import { SyntxMachine } from '../support/syntx-machine.js';

/** A day of the guide: hour by hour, the producer first where both start in the same minute. */
const producerHours = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22];
const consumerHours = new Map([[3, 'syntex_system'], ...[4, 10, 16, 22].map((hour) => [hour, 'sigma'] as const)]);

function ticksOf(day: number): PromptTickInput[] {
  return Array.from({ length: 24 }, (_, hour) => {
    const scheduledTime = new Date(Date.UTC(2026, 0, day, hour)).toISOString();
    const wrapper = consumerHours.get(hour);
    const produce: PromptTickInput[] = producerHours.includes(hour) ? [{ kind: 'produce', scheduledTime }] : [];
    const consume: PromptTickInput[] = wrapper === undefined ? [] : [{ kind: 'consume', wrapper, scheduledTime }];
    return [...produce, ...consume];
  }).flat();
}

let machine: SyntxMachine;

async function liveThrough(day: number) {
  const made = { prompts: 0, handled: 0, settled: 0 };
  for (const tick of ticksOf(day)) {
    const ended = await machine.tick(tick);
    if (ended.outcome === 'skipped') throw new Error(ended.reason);
    if (ended.kind === 'produce') {
      made.prompts += (ended.result as ProducePromptsResult).written;
    } else {
      const { claimed, processed, low, unscored } = ended.result as ConsumePromptsResult;
      made.handled += claimed;
      made.settled += processed + low + unscored;
    }
  }
  return made;
}

async function jobs(): Promise<number> {
  return Object.values(await machine.levels()).reduce((sum, count) => sum + count, 0);
}

beforeAll(async () => {
  machine = await SyntxMachine.create({ inMemory: true });
  await machine.tower.startControl();
});
afterAll(() => machine.close());

describe('days of the guide', () => {
  it('with the rule of 24: 120 prompts on the first, 100 a day then; 100 handled each, none lost', async () => {
    expect(await liveThrough(5)).toEqual({ prompts: 120, handled: 100, settled: 100 });
    expect(await jobs()).toBe(120);
    expect(await liveThrough(6)).toEqual({ prompts: 100, handled: 100, settled: 100 });
    expect(await jobs()).toBe(220);
    expect(await machine.faults()).toEqual([]);
    // Every call of the service was one prompt, and no prompt was called for twice.
    const answered = machine.service.calls().filter(({ total }) => total !== null);
    expect(new Set(answered.map(({ prompt }) => prompt)).size).toBe(200);
    expect(answered).toHaveLength(200);
  });

  it('without the rule: 240 prompts a day, 100 handled', async () => {
    const { settings } = machine;
    await machine.tower.stopWorkers();
    await machine.configure({ syntx: { ...settings, generation: { baseUrl: machine.llm.address, fillRule: 'off' } } });
    await machine.tower.startControl();
    expect(await liveThrough(7)).toEqual({ prompts: 240, handled: 100, settled: 100 });
    expect(await jobs()).toBe(460);
    expect(await machine.faults()).toEqual([]);
  });
});
