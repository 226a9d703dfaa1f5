import { compareLosses, modelsWithoutLoss } from './compare-losses.js';
import type { EvaluationPlan } from './evaluation-plan.js';
import type { EvaluationResult } from './evaluation-result.js';
import type { Estimate, LossComparison } from './loss-comparison.js';

/** What is decided when losses cannot be compared (configuration `evaluate.whenUnmeasured`). */
export type UnmeasuredPolicy = 'keep-champion' | 'promote' | 'reject';

export interface PromotionInput {
  readonly plan: Pick<EvaluationPlan, 'champion' | 'heldOut'>;
  /** `undefined`: nothing was evaluated, because there was no sample. */
  readonly result: EvaluationResult | undefined;
  readonly policy: {
    /** Fewer held-out samples than this are no measurement. */
    readonly minimumSamples: number;
    readonly whenUnmeasured: UnmeasuredPolicy;
  };
  /** A person wants this candidate, whatever was measured. */
  readonly force: boolean;
}

export interface PromotionDecision {
  readonly promoted: boolean;
  /** In words, with the numbers it rests on. */
  readonly reason: string;
  readonly forced: boolean;
  /** Version that the candidate was to replace. */
  readonly champion: string | null;
  readonly losses: LossComparison | null;
}

interface Verdict {
  readonly promoted: boolean;
  readonly reason: string;
}

/**
 * The gate (docs/evaluation.md): a candidate is promoted only when its held-out loss is lower than the champion's beyond
 * noise, that is when the whole 95 % interval of the paired difference lies below 0, and not higher than the base model's
 * beyond noise. Without a champion it has to be better than the base model. Pure: the same input gives the same decision.
 */
export async function decidePromotion(input: PromotionInput): Promise<PromotionDecision> {
  const { plan, result, force } = input;
  const losses = result === undefined ? null : await compareLosses(result);
  const verdict = verdictOf(input, losses);
  return {
    promoted: force || verdict.promoted,
    reason: force ? `forced by a person; the gate: ${verdict.reason}` : verdict.reason,
    forced: force,
    champion: plan.champion?.version ?? null,
    losses,
  };
}

function verdictOf({ plan, result, policy }: PromotionInput, losses: LossComparison | null): Verdict {
  const { champion, heldOut } = plan;
  if (champion?.comparison === 'refused') return reject(`${champion.version} stays: ${champion.reason}`);
  if (result === undefined) return unmeasured(missingSamples(heldOut), { plan, policy });
  const lost = modelsWithoutLoss(result);
  if (lost.length > 0) return reject(`the held-out loss of ${lost.join(' and ')} is not a number`);
  if (losses === null || result.samples < policy.minimumSamples) {
    const found = `${samplesText(result.samples)}, at least ${policy.minimumSamples} are needed`;
    return unmeasured(found, { plan, policy });
  }
  if (champion?.comparison === 'unavailable') {
    return unmeasured(`the champion ${champion.version} cannot be compared: ${champion.reason}`, { plan, policy });
  }
  const { candidateMinusBase, candidateMinusChampion } = losses;
  if (champion?.comparison === 'losses' && candidateMinusChampion !== null) {
    const name = `the champion ${champion.version}`;
    if (candidateMinusChampion.high >= 0) return reject(notBetter(name, candidateMinusChampion, losses));
    if (candidateMinusBase.low > 0) {
      return reject(`worse than the base model: ${differenceText(candidateMinusBase, losses)}`);
    }
    return promote(better(name, candidateMinusChampion, losses));
  }
  const aside =
    champion?.comparison === 'base-only' ? `; the champion ${champion.version} does not count: ${champion.reason}` : '';
  return candidateMinusBase.high < 0
    ? promote(better('the base model', candidateMinusBase, losses) + aside)
    : reject(notBetter('the base model', candidateMinusBase, losses) + aside);
}

function unmeasured(why: string, { plan, policy }: Pick<PromotionInput, 'plan' | 'policy'>): Verdict {
  const champion = plan.champion?.version;
  switch (policy.whenUnmeasured) {
    case 'promote':
      return promote(`not measured: ${why}; evaluate.whenUnmeasured is promote`);
    case 'reject':
      return reject(`not measured: ${why}; evaluate.whenUnmeasured is reject`);
    case 'keep-champion':
      return champion === undefined
        ? promote(`not measured: ${why}; there is no champion to keep`)
        : reject(`not measured: ${why}; the champion ${champion} stays`);
  }
}

function missingSamples({ seenByChampion }: EvaluationPlan['heldOut']): string {
  return seenByChampion === 0
    ? 'no held-out samples'
    : `no held-out samples that the champion was not trained with (it saw all ${seenByChampion})`;
}

function better(than: string, difference: Estimate, losses: LossComparison): string {
  return `better than ${than}: ${differenceText(difference, losses)}`;
}

function notBetter(than: string, difference: Estimate, losses: LossComparison): string {
  return `not better than ${than} beyond noise: ${differenceText(difference, losses)}`;
}

function differenceText({ value, low, high }: Estimate, { samples }: LossComparison): string {
  return `held-out loss ${signed(value)} (95 % interval ${signed(low)} to ${signed(high)}, ${samplesText(samples)})`;
}

function samplesText(count: number): string {
  return `${count} held-out sample${count === 1 ? '' : 's'}`;
}

function signed(value: number): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(4)}`;
}

const promote = (reason: string): Verdict => ({ promoted: true, reason });
const reject = (reason: string): Verdict => ({ promoted: false, reason });
