import { describe, expect, it } from 'vitest';

import {
  estimateDifference,
  estimateMean,
  resampleMeans,
  resampleMeansInSlices,
} from '../../src/evaluation/bootstrap.js';
import { SeededRandom } from '../../src/seeded-random.js';

interface World {
  readonly samples: number;
  /** True mean advantage of the second model, per token. */
  readonly advantage?: number;
  /** Spread of the difference from sample to sample. */
  readonly noise: number;
}

/** Losses of two models: how hard a sample is varies far more than what tells the models apart. */
function twoModels(seed: string, { samples, advantage = 0, noise }: World) {
  const random = new SeededRandom(seed);
  const normal = () => Array.from({ length: 12 }, () => random.next()).reduce((sum, value) => sum + value, -6);
  const tokens = Array.from({ length: samples }, () => random.between(20, 200));
  const hardness = tokens.map(() => 2 + 0.5 * normal());
  const first = tokens.map((count, index) => count * (hardness[index] ?? 0));
  const second = first.map((loss, index) => loss + (tokens[index] ?? 0) * (noise * normal() - advantage));
  return { tokens, series: [first, second] };
}

const differenceOf = (seed: string, world: World) =>
  estimateDifference(resampleMeans(twoModels(seed, world), { seed, resamples: 500 }), 1, 0);

describe('resampleMeans', () => {
  it('weighs samples by their tokens', () => {
    const means = resampleMeans({ tokens: [1, 9], series: [[10, 9]] }, { seed: 'a' });
    expect(means.observed).toEqual([1.9]);
    // A resample is twice one of the samples, or both.
    const values = new Set([...(means.resampled[0] ?? [])].map((value) => Number(value.toFixed(6))));
    expect([...values].sort()).toEqual([1, 1.9, 10]);
  });

  it('is deterministic for a seed and different for another', () => {
    const losses = twoModels('a', { samples: 30, noise: 0.1 });
    const once = resampleMeans(losses, { seed: 'x' });
    expect(resampleMeans(losses, { seed: 'x' })).toEqual(once);
    expect(resampleMeans(losses, { seed: 'y' }).resampled).not.toEqual(once.resampled);
  });

  it('draws the same samples for every model, so that a constant difference has no spread', () => {
    const tokens = [5, 50, 7, 80, 20, 33];
    const first = [9, 160, 10, 150, 70, 40];
    const second = first.map((loss, index) => loss - 0.25 * (tokens[index] ?? 0));
    const difference = estimateDifference(resampleMeans({ tokens, series: [first, second] }, { seed: 'a' }), 1, 0);
    for (const value of Object.values(difference)) expect(value).toBeCloseTo(-0.25, 10);
  });
});

it('thousands of samples do not hold up the event loop, and give the same figures', async () => {
  const losses = twoModels('large', { samples: 20_000, noise: 0.1 });
  let turns = 0;
  let timer = setImmediate(function turn() {
    turns += 1;
    timer = setImmediate(turn);
  });
  const inSlices = await resampleMeansInSlices(losses, { seed: 'large', resamples: 200 });
  clearImmediate(timer);
  expect(turns).toBeGreaterThan(3);
  expect(inSlices).toEqual(resampleMeans(losses, { seed: 'large', resamples: 200 }));
});

describe('intervals', () => {
  it('have the width that theory gives for a mean', () => {
    const { tokens, series } = twoModels('theory', { samples: 400, noise: 0.1 });
    const equal = tokens.map(() => 1);
    const rates = tokens.map((count, index) => (series[0]?.[index] ?? 0) / count);
    const { value, low, high } = estimateMean(resampleMeans({ tokens: equal, series: [rates] }, { seed: 'a' }), 0);
    const variance = rates.reduce((sum, rate) => sum + (rate - value) ** 2, 0) / rates.length;
    const expected = 1.96 * Math.sqrt(variance / rates.length);
    expect((high - low) / 2 / expected).toBeGreaterThan(0.93);
    expect((high - low) / 2 / expected).toBeLessThan(1.07);
  });

  it('cover the truth about as often as they say: an equal model is seldom called better', () => {
    const worlds = Array.from({ length: 200 }, (_, index) =>
      differenceOf(`null ${index}`, { samples: 40, noise: 0.1 }),
    );
    const covering = worlds.filter(({ low, high }) => low <= 0 && high >= 0).length;
    expect(covering).toBeGreaterThan(175);
    expect(covering).toBeLessThan(200);
    // The gate asks one side alone.
    expect(worlds.filter(({ high }) => high < 0).length).toBeLessThan(14);
  });

  it('find a small advantage that unpaired losses would drown', () => {
    const world = { samples: 100, noise: 0.05, advantage: 0.03 };
    const losses = twoModels('small', world);
    const means = resampleMeans(losses, { seed: 'small' });
    const [one, two] = [estimateMean(means, 0), estimateMean(means, 1)];
    expect(two.high).toBeGreaterThan(one.low);
    expect(estimateDifference(means, 1, 0).high).toBeLessThan(0);
  });

  it('shrink with the square root of the number of samples', () => {
    const width = (samples: number) => {
      const { low, high } = differenceOf('width', { samples, noise: 0.1 });
      return high - low;
    };
    expect(width(100) / width(1600)).toBeGreaterThan(3);
    expect(width(100) / width(1600)).toBeLessThan(5.5);
  });
});
