import { estimateDifference, estimateMean, resampleMeans, type Estimate } from './bootstrap.js';
import type { EvaluationResult, ModelName } from './evaluation-result.js';

/** Mean held-out losses per token in nats, and their paired differences, each with its 95 % interval. */
export interface LossComparison {
  readonly samples: number;
  /** Predicted tokens in these samples. */
  readonly tokens: number;
  readonly base: Estimate;
  readonly candidate: Estimate;
  /** `null` when there was no champion to compare with. */
  readonly champion: Estimate | null;
  /** Below 0: the candidate is better. */
  readonly candidateMinusBase: Estimate;
  readonly candidateMinusChampion: Estimate | null;
}

/** Models whose loss on some sample is not a number. */
export function modelsWithoutLoss({ adapters }: EvaluationResult): ModelName[] {
  return adapters.filter((model) => model.samples.some(([loss]) => loss === null)).map(({ name }) => name);
}

/** Compares the models of one evaluation; `null` when a loss is not a number, or one of base and candidate is missing. */
export function compareLosses(result: EvaluationResult): LossComparison | null {
  if (modelsWithoutLoss(result).length > 0) return null;
  const { adapters, heldOutSha256 } = result;
  const indexOf = (name: ModelName) => adapters.findIndex((model) => model.name === name);
  const [base, candidate, champion] = [indexOf('base'), indexOf('candidate'), indexOf('champion')];
  if (base === -1 || candidate === -1) return null;
  const tokens = adapters[0]?.samples.map(([, count]) => count) ?? [];
  const means = resampleMeans(
    { tokens, series: adapters.map((model) => model.samples.map(([loss]) => loss ?? Number.NaN)) },
    { seed: heldOutSha256 },
  );
  return {
    samples: result.samples,
    tokens: tokens.reduce((sum, count) => sum + count, 0),
    base: estimateMean(means, base),
    candidate: estimateMean(means, candidate),
    champion: champion === -1 ? null : estimateMean(means, champion),
    candidateMinusBase: estimateDifference(means, candidate, base),
    candidateMinusChampion: champion === -1 ? null : estimateDifference(means, candidate, champion),
  };
}
