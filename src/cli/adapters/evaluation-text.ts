import type { Estimate } from '../../activities/interfaces.js';
import type { DailyCycleResult } from '../../workflows/daily-cycle.js';

type Evaluated = Pick<
  NonNullable<DailyCycleResult['training']>,
  'champion' | 'losses' | 'promoted' | 'forced' | 'promotionReason'
>;

/** What the evaluation has found and decided, in two lines: losses with their 95 % intervals, then the decision. */
export function evaluationLines(training: Evaluated): [losses: string, decision: string] {
  const { losses, champion } = training;
  if (losses === null) return ['not measured', decisionText(training)];
  const models = [
    `candidate ${intervalText(losses.candidate)}`,
    ...(losses.champion === null ? [] : [`champion ${champion ?? ''} ${intervalText(losses.champion)}`]),
    `base model ${intervalText(losses.base)}`,
  ];
  return [`${models.join(', ')}; ${losses.samples} samples`, decisionText(training)];
}

function decisionText({ promoted, forced, promotionReason }: Evaluated): string {
  return `${promoted ? 'promoted' : 'rejected'}${forced ? ' by force' : ''}: ${promotionReason}`;
}

function intervalText({ value, low, high }: Estimate): string {
  return `${value.toFixed(4)} (${low.toFixed(4)} to ${high.toFixed(4)})`;
}
