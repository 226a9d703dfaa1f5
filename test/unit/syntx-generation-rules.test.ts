import { describe, expect, it } from 'vitest';

import { gptCost } from '../../src/syntx/generation/gpt-cost.js';
import { gptQuality } from '../../src/syntx/generation/gpt-quality.js';
import { generationOptionsSchema } from '../../src/syntx/generation/options.js';
import { promptsToMake, type FillQuestion } from '../../src/syntx/generation/queue-fill.js';

describe('the rule of 24', () => {
  const ask = (question: Partial<FillQuestion>) => promptsToMake({ waiting: 0, asked: 20, rule: 'gate', ...question });

  it.each([
    [0, 20],
    [24, 20],
    [25, 0],
    [291, 0],
  ])('with %i waiting makes %i', (waiting, make) => {
    expect(ask({ waiting }).make).toBe(make);
  });

  it.each([
    [0, 'STARVING', 20],
    [1, 'LOW', 15],
    [4, 'LOW', 15],
    [5, 'BALANCED', 10],
    [24, 'BALANCED', 10],
    [25, 'HIGH', 0],
    [49, 'HIGH', 0],
    [50, 'OVERFLOW', 0],
  ])('by levels, with %i waiting, is %s and makes %i', (waiting, level, make) => {
    expect(ask({ waiting, rule: 'levels' })).toMatchObject({ level, make });
  });

  it('makes the count asked for, also fewer than the level, and all of it when forced or off', () => {
    expect(ask({ asked: 7 }).make).toBe(7);
    expect(ask({ asked: 7, rule: 'levels' }).make).toBe(7);
    expect(ask({ waiting: 99, asked: 7, force: true }).make).toBe(7);
    expect(ask({ waiting: 99, rule: 'off' }).make).toBe(20);
    expect(ask({ waiting: 99 }).reason).toContain('99 prompts wait');
  });
});

describe('quality of a generated prompt', () => {
  it.each([
    [
      'Alpha beta gamma.',
      {
        length_score: 0,
        complexity_score: 1,
        structure_score: 0,
        clarity_score: 2,
        total_score: 3,
        quality_rating: 'schwach',
      },
    ],
    [
      'x'.repeat(900),
      {
        length_score: 1,
        complexity_score: 0,
        structure_score: 0,
        clarity_score: 0,
        total_score: 1,
        quality_rating: 'sehr schlecht',
      },
    ],
  ])('%.20s', (text, expected) => {
    expect(gptQuality(text)).toMatchObject({ ...expected, max_score: 10 });
  });

  it.each([
    [49, 0],
    [50, 2],
    [99, 2],
    [100, 3],
    [500, 3],
    [501, 2],
    [800, 2],
    [801, 1],
    [1000, 1],
    [1001, 0],
  ])('%i code points give %i points', (length, points) => {
    expect(gptQuality('𝔵'.repeat(length)).length_score).toBe(points);
  });

  it('counts lists, lines, sentences and words', () => {
    const text = `${'Worte sagen etwas. '.repeat(17)}\n1. Punkt`;
    expect(gptQuality(text)).toMatchObject({
      complexity_score: 3,
      structure_score: 2,
      stats: { sentences: 18, words: 53 },
    });
    expect(gptQuality('eins zwei\u0085drei\ufeffvier').stats).toMatchObject({ words: 3, avg_word_length: 5.67 });
  });

  it('of an empty text has no figures', () => {
    expect(gptQuality('')).toMatchObject({ total_score: 0, quality_rating: 'sehr schlecht' });
    expect(gptQuality('')).not.toHaveProperty('stats');
  });
});

describe('cost', () => {
  const { prices } = generationOptionsSchema.parse({});

  it('of gpt-4o', () => {
    expect(gptCost('gpt-4o', { inputTokens: 180, outputTokens: 500 }, prices)).toEqual({
      ...{ input_tokens: 180, output_tokens: 500, input_cost: 0.00045, output_cost: 0.005 },
      ...{ total_cost: 0.00545, currency: 'USD' },
    });
  });

  it('is rounded as Python does: half a millionth is a double below it, and a true half goes to the even digit', () => {
    const price = (inputPerMillion: number) => ({ m: { inputPerMillion, outputPerMillion: 0 } });
    const paid = (tokens: number, perMillion: number) =>
      gptCost('m', { inputTokens: tokens, outputTokens: 0 }, price(perMillion)).input_cost;
    expect([paid(1, 0.5), paid(1, 1.5), paid(1_000_000, 2 ** -7), paid(3_000_000, 2 ** -7)]).toEqual([
      0, 0.000_002, 0.007_812, 0.023_438,
    ]);
  });

  it('of a model without a price is three zeros', () => {
    const cost = gptCost('other', { inputTokens: 180, outputTokens: 500 }, prices);
    expect(cost).toEqual({ input_cost: 0, output_cost: 0, total_cost: 0 });
  });
});

it('a limit of the cost needs a price: without one it would hold back nothing', () => {
  const limited = (changes: object) => generationOptionsSchema.safeParse({ costLimit: 1, ...changes });
  expect(limited({}).success).toBe(true);
  expect(limited({ model: 'small', prices: { small: { inputPerMillion: 1, outputPerMillion: 2 } } }).success).toBe(
    true,
  );
  const { error } = limited({ model: 'gpt-4o-mini' });
  expect(error!.issues).toMatchObject([
    { path: ['costLimit'], message: expect.stringContaining('"gpt-4o-mini"') as string },
  ]);
});

it('the defaults are the production set: 33 topics in seven categories, four styles', () => {
  const { topics, styles, parameters, model } = generationOptionsSchema.parse({});
  expect(Object.entries(topics).map(([name, list]) => [name, list.length])).toEqual([
    ['harmlos', 7],
    ['bildung', 6],
    ['gesellschaft', 6],
    ['technologie', 4],
    ['kontrovers', 4],
    ['grenzwertig', 3],
    ['kritisch', 3],
  ]);
  expect(styles).toEqual(['technisch', 'kreativ', 'akademisch', 'casual']);
  expect({ parameters, model }).toEqual({
    parameters: { temperature: 0.7, top_p: 1, max_tokens: 500 },
    model: 'gpt-4o',
  });
});
