import { join } from 'node:path';

import { Context } from '@temporalio/activity';

import { TowerError } from '../errors.js';
import type { TrainedAdapter } from '../evaluation/champion-comparison.js';
import { decidePromotion } from '../evaluation/decide-promotion.js';
import { readEvaluationResult } from '../evaluation/driver.js';
import { readEvaluationPlan } from '../evaluation/evaluation-plan.js';
import { planEvaluation } from '../evaluation/plan-evaluation.js';
import { promotionMetrics } from '../evaluation/promotion-metrics.js';
import type { Ledger } from '../signz-mind/ledger/ledger.js';
import type { RunRecord } from '../signz-mind/ledger/runs.js';
import { runDirectory } from '../training/run-directory.js';
import { nextGeneration } from '../training/stop-intent.js';
import { withHeartbeat } from './heartbeat.js';
import * as inputs from './inputs.js';
import type { HostActivities } from './interfaces.js';
import type { WorkerEnvironment } from './worker-environment.js';

/** `planEvaluation` and `decidePromotion`: the gate around the evaluation, which runs on the GPU. */
export function evaluateCandidate(
  { config, paths, log }: WorkerEnvironment,
  ledger: Ledger,
): Pick<HostActivities, 'planEvaluation' | 'decidePromotion'> {
  const periodMs = config.worker.heartbeatSeconds * 1000;
  const trained = ({ run, version, simulated }: RunRecord): TrainedAdapter => ({
    version,
    simulated,
    runDirectory: join(paths.runs, run),
  });

  return {
    async planEvaluation(input) {
      const candidate = knownRun(ledger, inputs.checked(inputs.runSchema, input).run);
      const champion = ledger.runs.champion();
      const { run, plan } = await withHeartbeat(Context.current(), periodMs, () =>
        planEvaluation({
          runsDirectory: paths.runs,
          candidate: trained(candidate),
          // A cycle that is run again under the same time may have promoted it before.
          champion: champion === undefined || champion.run === candidate.run ? undefined : trained(champion),
        }),
      );
      return {
        run,
        samples: plan.heldOut.samples,
        champion: plan.champion?.version ?? null,
        generation: await nextGeneration(runDirectory(join(paths.runs, run))),
      };
    },

    async decidePromotion(input) {
      const { run, evaluation, force } = inputs.checked(inputs.decidePromotionSchema, input);
      const directory = join(paths.runs, evaluation);
      const plan = await readEvaluationPlan(directory);
      const result = await readEvaluationResult(directory);
      if (result === undefined && plan.heldOut.samples > 0) {
        throw new TowerError('EVALUATION_MISSING', `${directory} has no result`, {
          next: 'Run the cycle again: it evaluates anew.',
        });
      }
      const decision = await withHeartbeat(Context.current(), periodMs, () =>
        decidePromotion({ plan, result, policy: config.evaluate, force }),
      );
      const metrics = promotionMetrics(decision);
      if (decision.promoted) await ledger.runs.promote(run, decision.reason, metrics);
      else await ledger.runs.reject(run, decision.reason, metrics);
      log.info({ run, ...metrics, promoted: decision.promoted }, decision.reason);
      // An earlier decision stands.
      const { version, state, reason } = knownRun(ledger, run);
      const promoted = state === 'promoted';
      return {
        ...decision,
        version,
        promoted,
        reason: reason ?? decision.reason,
        supersedes: promoted ? await ledger.deliveries.supersedeOthers(version) : [],
      };
    },
  };
}

function knownRun(ledger: Ledger, run: string): RunRecord {
  const record = ledger.runs.get(run);
  if (record !== undefined) return record;
  throw new TowerError('UNKNOWN_RUN', `the ledger knows no training run ${run}`, {
    next: 'The ledger of another state directory may have it.',
  });
}
