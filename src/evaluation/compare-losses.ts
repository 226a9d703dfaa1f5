import { estimateDifference, estimateMean, resampleMeansInSlices } from './bootstrap.js';
import type { EvaluationResult, ModelName } from './evaluation-result.js';
import type { LossComparison } from './loss-comparison.js';

/** Models whose loss on some sample is not a number. */
export function modelsWithoutLoss({ adapters }: EvaluationResult): ModelName[] {
  return adapters.filter((model) => model.samples.some(([loss]) => loss === null)).map(({ name }) => name);
}

/** Compares the models of one evaluation; `null` when a loss is not a number, or one of base and candidate is missing. */
export async function compareLosses(result: EvaluationResult): Promise<LossComparison | null> {
  if (modelsWithoutLoss(result).length > 0) return null;
  const { adapters, heldOutSha256 } = result;
  const indexOf = (name: ModelName) => adapters.findIndex((model) => model.name === name);
  const [base, candidate, champion] = [indexOf('base'), indexOf('candidate'), indexOf('champion')];
  if (base === -1 || candidate === -1) return null;
  const tokens = adapters[0]?.samples.map(([, count]) => count) ?? [];
  const means = await resampleMeansInSlices(
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
