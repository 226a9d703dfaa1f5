import type { DrawInput, Drawn } from '../../src/syntx/learning/draw.js';
import { drawPrompts, learningOptionsSchema } from '../../src/syntx/learning/policy.js';
import { discountedThompson } from './baselines/discounted-thompson.js';
import { plainThompson } from './baselines/plain-thompson.js';
import { toldThompson } from './baselines/told-thompson.js';
import { batch, type Scenario } from './scenarios.js';

/** Draws the prompts of one batch after the other; made anew for every world. */
export type BenchmarkPolicy = (input: DrawInput) => Drawn;

/** Tower's own with the options that it has by default. Baselines are told what their names say; Tower is told nothing. */
export const policies: Readonly<Record<string, (scenario: Scenario) => BenchmarkPolicy>> = {
  thompson: () => ofTower('thompson'),
  patterns: () => ofTower('patterns'),
  uniform: () => ofTower('uniform'),
  'plain Thompson': (scenario) => plainThompson(noiseOf(scenario)),
  'discounted, pooled': (scenario) => discountedThompson(noiseOf(scenario)),
  'hierarchical, told': (scenario) => {
    const { styleDeviation: style, categoryDeviation: category, pairDeviation: pair } = scenario.kind;
    // So many degrees of freedom: the noise of all cells is one number, the one that was told.
    return toldThompson({ style, category, pair, noise: noiseOf(scenario), noiseDegrees: 1e6 }, batch);
  },
};

function ofTower(policy: 'thompson' | 'patterns' | 'uniform'): BenchmarkPolicy {
  const options = learningOptionsSchema.parse({ policy });
  return (input) => drawPrompts(input, options);
}

/** Standard deviation of a single score over all cells: half of them have the noise times `unevenNoise`. */
function noiseOf({ kind: { noise, unevenNoise } }: Scenario): number {
  return noise * Math.sqrt((1 + unevenNoise ** 2) / 2);
}
