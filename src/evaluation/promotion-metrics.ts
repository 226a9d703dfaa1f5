import type { PromotionDecision } from './decide-promotion.js';
import type { Estimate } from './loss-comparison.js';

/** A decision as flat facts, for the ledger, the package's manifest and tables. Losses are means per token in nats. */
export function promotionMetrics({
  losses,
  champion,
  forced,
}: PromotionDecision): Record<string, string | number | boolean | null> {
  return {
    forced,
    comparedWith: champion,
    ...(losses !== null && {
      evaluatedSamples: losses.samples,
      evaluatedTokens: losses.tokens,
      ...flat('candidateLoss', losses.candidate),
      ...flat('baseLoss', losses.base),
      ...flat('candidateMinusBase', losses.candidateMinusBase),
      ...(losses.champion !== null && flat('championLoss', losses.champion)),
      ...(losses.candidateMinusChampion !== null && flat('candidateMinusChampion', losses.candidateMinusChampion)),
    }),
  };
}

function flat(name: string, { value, low, high }: Estimate): Record<string, number> {
  return { [name]: value, [`${name}Low`]: low, [`${name}High`]: high };
}
