import { ApplicationFailure } from '@temporalio/common';
import { Context } from '@temporalio/activity';

import type { TrainingResult } from '../training/judge-launch.js';
import { runTraining } from '../training/run-training.js';
import type { TrainerDriver } from '../training/trainer-driver.js';
import type { TrainingProgress } from '../training/training-request.js';
import { cancelKind } from './cancel-kind.js';
import { withHeartbeat } from './heartbeat.js';
import { checked, runReferenceSchema } from './inputs.js';
import type { GpuActivities, RunReference, TrainingOutcome } from './interfaces.js';
import type { RoomWait, VramSetting } from './make-room-for.js';
import { evaluationDriver, trainerDriver, trainingRequest } from './training-request.js';
import type { WorkerEnvironment } from './worker-environment.js';

/** Activities of the `gpu-<host>-<index>` queue. */
export function createGpuActivities(environment: WorkerEnvironment): GpuActivities {
  return {
    async trainAdapter(input) {
      const result = await superviseRun(environment, input, daily(environment, trainerDriver));
      return trainingOutcome(result);
    },

    async evaluateAdapter(input) {
      const result = await superviseRun(environment, input, daily(environment, evaluationDriver));
      if (result.outcome === 'paused') return { outcome: 'paused' };
      const { launches, artefact, simulated } = result;
      return { outcome: 'evaluated', launches, resultSha256: artefact.sha256, simulated };
    },
  };
}

/** A training's result as activities return it. */
export function trainingOutcome(result: TrainingResult): TrainingOutcome {
  if (result.outcome === 'paused') return { outcome: 'paused', step: result.step };
  return {
    outcome: 'trained',
    plannedSteps: result.steps.planned,
    executedSteps: result.steps.executed,
    redoneSteps: result.steps.redone,
    launches: result.launches,
    trainLoss: result.trainLoss,
    heldOutLoss: result.heldOutLoss,
    adapterSha256: result.artefact.sha256,
    adapterBytes: result.artefact.bytes,
    simulated: result.simulated,
  };
}

type DriverOf = (environment: WorkerEnvironment, run: string) => Promise<TrainerDriver>;

/** Trainings and evaluations of the daily cycle. */
function daily({ config }: WorkerEnvironment, driverOf: DriverOf): Supervision {
  return { driverOf, vramGigabytes: config.gpu.trainVramGigabytes, vramSetting: 'gpu.trainVramGigabytes' };
}

export interface Supervision {
  readonly driverOf: DriverOf;
  readonly vramGigabytes: number | undefined;
  /** The setting that says so. */
  readonly vramSetting: VramSetting;
}

/** Starts, adopts and follows the process of one run; this attempt's end means for it what {@link cancelKind} says. */
export async function superviseRun(
  environment: WorkerEnvironment,
  input: RunReference,
  { driverOf, vramGigabytes, vramSetting }: Supervision,
): Promise<TrainingResult> {
  const reference = checked(runReferenceSchema, input);
  const context = Context.current();
  const kind = () => cancelKind(context);
  const log = environment.log.child({ runId: reference.run });
  const periodMs = environment.config.worker.heartbeatSeconds * 1000;
  const result = await withHeartbeat<TrainingProgress | RoomWait, TrainingResult>(
    context,
    periodMs,
    async (onProgress) => {
      // A driver may look at every image of a dataset first.
      const driver = await driverOf(environment, reference.run);
      const run = { ...reference, driver, vramGigabytes, vramSetting, onWait: onProgress };
      const request = await trainingRequest(environment, run, context);
      return runTraining(request, { signal: context.cancellationSignal, cancelKind: kind, onProgress, log });
    },
  );
  // Paused through Temporal itself: the attempt ends here and the server holds the next one back.
  if (result.outcome === 'paused' && context.cancellationSignal.aborted && kind() === 'pause') {
    throw ApplicationFailure.retryable(`paused after a complete state at step ${result.step}`, 'PAUSED');
  }
  return result;
}
