import { proxyActivities } from '@temporalio/workflow';

import type { HostActivities, LossComparison, Placement, PlannedTraining } from '../activities/interfaces.js';
import type { CycleDisplay } from './cycle-display.js';
import { evaluateRun } from './evaluate-run.js';
import type { PauseControl } from './pause-control.js';
import { hostWorkPolicy } from './policies.js';
import { trainRun } from './train-run.js';

/** What became of a cycle's candidate. */
export interface TrainingRecord {
  readonly version: string;
  readonly plannedSteps: number;
  readonly executedSteps: number;
  readonly redoneSteps: number;
  readonly launches: number;
  readonly trainLoss: number | null;
  readonly heldOutLoss: number | null;
  readonly promoted: boolean;
  readonly promotionReason: string;
  /** Promoted because a person wanted it, whatever was measured. */
  readonly forced: boolean;
  /** Version of the champion that it was compared with. */
  readonly champion: string | null;
  /** `null`: nothing could be measured. */
  readonly losses: LossComparison | null;
}

export interface CandidateOptions {
  readonly placement: Placement;
  readonly display: CycleDisplay;
  readonly pause: PauseControl;
  readonly forcePromote: boolean;
}

/** Trains a candidate, evaluates it against champion and base model, and promotes or rejects it. */
export async function trainCandidate(
  plan: PlannedTraining,
  { placement, display, pause, forcePromote }: CandidateOptions,
): Promise<{ record: TrainingRecord; supersedes: readonly string[] }> {
  const host = proxyActivities<HostActivities>(hostWorkPolicy(placement));
  display.train(plan);
  const outcome = await trainRun(
    { id: plan.run, generation: plan.generation, summary: `train ${plan.version}` },
    placement,
    pause,
  );
  await host.recordTraining({ run: plan.run, outcome });
  display.trained(outcome);

  await pause.gate();
  display.stage('evaluate');
  const evaluation = await host.planEvaluation({ run: plan.run });
  if (evaluation.samples > 0) {
    const against = evaluation.champion ?? 'its base model';
    await evaluateRun(evaluation, placement, { pause, summary: `evaluate ${plan.version} against ${against}` });
  }
  const promotion = await host.decidePromotion({ run: plan.run, evaluation: evaluation.run, force: forcePromote });
  display.decided(promotion);
  return {
    record: {
      version: plan.version,
      plannedSteps: outcome.plannedSteps,
      executedSteps: outcome.executedSteps,
      redoneSteps: outcome.redoneSteps,
      launches: outcome.launches,
      trainLoss: outcome.trainLoss,
      heldOutLoss: outcome.heldOutLoss,
      promoted: promotion.promoted,
      promotionReason: promotion.reason,
      forced: promotion.forced,
      champion: promotion.champion,
      losses: promotion.losses,
    },
    supersedes: promotion.supersedes,
  };
}
