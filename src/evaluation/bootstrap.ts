import { SeededRandom } from '../seeded-random.js';
import { WorkSlices } from '../work-slices.js';
import type { Estimate } from './loss-comparison.js';

/** What several models lost on the same samples, in the same order. */
export interface PairedLosses {
  /** Predicted tokens of every sample; above 0. */
  readonly tokens: readonly number[];
  /** One series for each model: the loss of every sample, summed over its tokens, in nats. */
  readonly series: readonly (readonly number[])[];
}

/** Mean losses per token of every model, over all samples and over every resample. */
export interface ResampledMeans {
  readonly observed: readonly number[];
  /** `resampled[model][resample]`; the same resample drew the same samples for every model. */
  readonly resampled: readonly Float64Array[];
}

export interface ResampleOptions {
  /** Any text. */
  readonly seed: string;
  /** How many. Default 2000. */
  readonly resamples?: number;
}

const defaultResamples = 2_000;

/**
 * Paired bootstrap: draws as many samples as there are, with replacement, again and again, and takes each model's mean loss
 * per token over the same draw. So what makes a sample hard for every model cancels out in differences. Deterministic for
 * a seed.
 */
export function resampleMeans(losses: PairedLosses, options: ResampleOptions): ResampledMeans {
  const steps = resampling(losses, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** The same as {@link resampleMeans}, for samples by the thousand: seconds, in which heartbeats go on. */
export async function resampleMeansInSlices(losses: PairedLosses, options: ResampleOptions): Promise<ResampledMeans> {
  const slices = new WorkSlices();
  const steps = resampling(losses, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (slices.isOver) await slices.next();
  }
}

/** One step is one resample. */
function* resampling(
  { tokens, series }: PairedLosses,
  { seed, resamples = defaultResamples }: ResampleOptions,
): Generator<void, ResampledMeans> {
  const random = new SeededRandom(seed);
  const [tokenCounts, ...losses] = [tokens, ...series].map((values) => Float64Array.from(values));
  const draws = new Uint32Array(tokens.length);
  const resampled = series.map(() => new Float64Array(resamples));
  for (let resample = 0; resample < resamples; resample++) {
    for (let draw = 0; draw < draws.length; draw++) draws[draw] = random.next() * draws.length;
    const drawnTokens = sumOfDraws(tokenCounts, draws);
    resampled.forEach((means, model) => (means[resample] = sumOfDraws(losses[model], draws) / drawnTokens));
    yield;
  }
  const total = sumOf(tokens);
  return { observed: series.map((values) => sumOf(values) / total), resampled };
}

function sumOfDraws(values: Float64Array | undefined, draws: Uint32Array): number {
  let sum = 0;
  for (const draw of draws) sum += values?.[draw] ?? 0;
  return sum;
}

/** Mean loss of one model, with the percentile interval of its resamples. */
export function estimateMean({ observed, resampled }: ResampledMeans, model: number): Estimate {
  return { value: observed[model] ?? Number.NaN, ...percentileInterval(resampled[model] ?? new Float64Array()) };
}

/** Mean loss of `model` minus that of `other`: below 0 means that `model` is better. */
export function estimateDifference({ observed, resampled }: ResampledMeans, model: number, other: number): Estimate {
  const differences = resampled[model]?.map((mean, index) => mean - (resampled[other]?.[index] ?? Number.NaN));
  return {
    value: (observed[model] ?? Number.NaN) - (observed[other] ?? Number.NaN),
    ...percentileInterval(differences ?? new Float64Array()),
  };
}

/** From the 2.5th to the 97.5th percentile, each interpolated between its neighbours. */
function percentileInterval(values: Float64Array): { low: number; high: number } {
  const sorted = values.slice().sort();
  return { low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) };
}

function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1);
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

function sumOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
