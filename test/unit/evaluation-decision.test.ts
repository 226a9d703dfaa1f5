import { describe, expect, it } from 'vitest';

import { decidePromotion, type PromotionInput } from '../../src/evaluation/decide-promotion.js';
import { evaluationResultSchema, type EvaluationResult } from '../../src/evaluation/evaluation-result.js';
import type { ChampionComparison } from '../../src/evaluation/evaluation-plan.js';
import { promotionMetrics } from '../../src/evaluation/promotion-metrics.js';

const samples = 20;
const comparable: ChampionComparison = { comparison: 'losses', version: 'v1', adapter: '/runs/v1/output/adapter' };

/** Losses per token of models whose samples are differently hard; a wave keeps them from differing by a constant. */
function result(means: Readonly<Record<string, number | null>>, count = samples): EvaluationResult {
  return evaluationResultSchema.parse({
    version: 1,
    simulated: false,
    baseModel: 'm',
    device: 'cpu',
    samples: count,
    cutSamples: 0,
    heldOutSha256: 'seed',
    adapters: Object.entries(means).map(([name, mean], model) => ({
      name,
      path: name === 'base' ? null : `/runs/${name}`,
      meanLoss: mean,
      samples: Array.from({ length: count }, (_, index) => {
        const tokens = 10 + ((index * 7) % 30);
        const wave = Math.sin(index) + 0.1 * Math.sin(index * (model + 2));
        return [mean === null ? null : tokens * (mean + wave), tokens];
      }),
    })),
  });
}

function decide(input: Partial<Omit<PromotionInput, 'plan'>> & { champion?: ChampionComparison | null }) {
  const { champion = null, ...rest } = input;
  return decidePromotion({
    plan: { champion, heldOut: { samples, seenByChampion: 0, sha256: 'seed' } },
    result: result({ base: 3, candidate: 2 }),
    policy: { minimumSamples: 8, whenUnmeasured: 'keep-champion' },
    force: false,
    ...rest,
  });
}

describe('measured', () => {
  const against = { base: 3, champion: 2 };
  it.each([
    { what: 'better than the base model, no champion', means: { base: 3, candidate: 2 }, promoted: true },
    { what: 'worse than the base model, no champion', means: { base: 3, candidate: 3.5 }, promoted: false },
    { what: 'as good as the base model, no champion', means: { base: 3, candidate: 3 }, promoted: false },
    { what: 'better than the champion', means: { ...against, candidate: 1.8 }, promoted: true },
    { what: 'worse than the champion', means: { ...against, candidate: 2.2 }, promoted: false },
    { what: 'within noise of the champion', means: { ...against, candidate: 1.99 }, promoted: false },
    {
      what: 'better than the champion, worse than the base',
      means: { base: 3, champion: 5, candidate: 4 },
      promoted: false,
    },
  ])('$what: promoted $promoted', async ({ means, promoted }) => {
    const champion = 'champion' in means ? comparable : null;
    const decision = await decide({ champion, result: result(means) });
    expect(decision).toMatchObject({ promoted, forced: false, champion: champion?.version ?? null });
    expect(decision.reason).toMatch(/held-out loss [+-]\d\.\d{4} \(95 % interval .* 20 held-out samples\)/);
  });

  it('the reason says with what it was compared', async () => {
    const reason = async (means: Readonly<Record<string, number>>, champion: ChampionComparison | null) =>
      (await decide({ champion, result: result(means) })).reason;
    expect(await reason({ base: 3, candidate: 2 }, null)).toMatch(/^better than the base model: /);
    expect(await reason({ ...against, candidate: 1.8 }, comparable)).toMatch(/^better than the champion v1: /);
    expect(await reason({ ...against, candidate: 1.99 }, comparable)).toMatch(
      /^not better than the champion v1 beyond noise: /,
    );
    expect(await reason({ base: 3, champion: 5, candidate: 4 }, comparable)).toMatch(/^worse than the base model: /);
  });

  it('losses and intervals go with the decision, and into the ledger as flat numbers', async () => {
    const decision = await decide({ champion: comparable, result: result({ base: 3, candidate: 1.8, champion: 2 }) });
    const { losses } = decision;
    expect(losses?.candidateMinusChampion?.value).toBeCloseTo(-0.2, 1);
    expect(losses?.candidateMinusChampion?.high).toBeLessThan(0);
    expect(promotionMetrics(decision)).toMatchObject({
      forced: false,
      comparedWith: 'v1',
      evaluatedSamples: samples,
      candidateLoss: losses?.candidate.value,
      championLossHigh: losses?.champion?.high,
      candidateMinusBaseLow: losses?.candidateMinusBase.low,
    });
  });

  it.each(['candidate', 'champion', 'base'])('a loss of the %s that is not a number rejects', async (name) => {
    const losses = result({ base: 3, candidate: 1, champion: 2, [name]: null });
    const decision = await decide({ champion: comparable, result: losses });
    expect(decision).toMatchObject({ promoted: false, losses: null });
    expect(decision.reason).toBe(`the held-out loss of ${name} is not a number`);
  });
});

describe('a champion that cannot be compared', () => {
  const reason = 'why';
  it('of another base model or of the simulator: the base model decides', async () => {
    const champion: ChampionComparison = { comparison: 'base-only', version: 'v1', reason };
    expect(await decide({ champion })).toMatchObject({ promoted: true });
    expect((await decide({ champion })).reason).toMatch(
      /^better than the base model.*champion v1 does not count: why$/,
    );
    expect((await decide({ champion, result: result({ base: 3, candidate: 3.1 }) })).promoted).toBe(false);
  });

  it('whose files are gone: not measured', async () => {
    const champion: ChampionComparison = { comparison: 'unavailable', version: 'v1', reason };
    expect(await decide({ champion })).toMatchObject({ promoted: false, champion: 'v1' });
    expect((await decide({ champion, policy: { minimumSamples: 8, whenUnmeasured: 'promote' } })).promoted).toBe(true);
  });

  it('a simulated candidate never replaces a trained champion, unless a person says so', async () => {
    const champion: ChampionComparison = { comparison: 'refused', version: 'v1', reason };
    const policy = { minimumSamples: 2, whenUnmeasured: 'promote' } as const;
    expect((await decide({ champion, policy })).promoted).toBe(false);
    expect(await decide({ champion, policy, force: true })).toMatchObject({ promoted: true, forced: true });
  });
});

describe('not measured', () => {
  const none = undefined;
  const few = result({ base: 3, candidate: 2 }, 7);
  it.each([
    ['keep-champion', null, true],
    ['keep-champion', comparable, false],
    ['promote', null, true],
    ['promote', comparable, true],
    ['reject', null, false],
    ['reject', comparable, false],
  ] as const)('%s, champion %j: promoted %s', async (whenUnmeasured, champion, promoted) => {
    const policy = { minimumSamples: 8, whenUnmeasured };
    for (const losses of [none, few]) {
      const decision = await decide({ champion, policy, result: losses });
      expect(decision.promoted).toBe(promoted);
      expect(decision.reason).toMatch(/^not measured: (no|7) held-out samples/);
    }
  });
});

it('a forced promotion says that it is one, and what the gate has found', async () => {
  const decision = await decide({
    champion: comparable,
    result: result({ base: 3, candidate: 2.5, champion: 2 }),
    force: true,
  });
  expect(decision).toMatchObject({ promoted: true, forced: true });
  expect(decision.reason).toMatch(/^forced by a person; the gate: not better than the champion v1/);
  expect(promotionMetrics(decision)['forced']).toBe(true);
});

describe('the result file', () => {
  const good = result({ base: 3, candidate: 2 });
  it.each([
    ['a model with fewer losses', { ...good, adapters: [good.adapters[0], { ...good.adapters[1], samples: [] }] }],
    [
      'other tokens for another model',
      {
        ...good,
        adapters: [
          good.adapters[0],
          { ...good.adapters[1], samples: good.adapters[1]?.samples.map(([loss]) => [loss, 1]) },
        ],
      },
    ],
    ['an unknown model', { ...good, adapters: [{ ...good.adapters[0], name: 'other' }, good.adapters[1]] }],
    ['a text for a loss', { ...good, adapters: [good.adapters[0], { ...good.adapters[1], meanLoss: 'NaN' }] }],
  ])('with %s is refused', (_, value) => {
    expect(evaluationResultSchema.safeParse(good).success).toBe(true);
    expect(evaluationResultSchema.safeParse(value).success).toBe(false);
  });
});
