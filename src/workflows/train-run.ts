import { CancellationScope, proxyActivities, type ActivityOptions } from '@temporalio/workflow';
import type { Priority } from '@temporalio/common';

import type {
  GpuActivities,
  HostActivities,
  Placement,
  RunReference,
  TrainedOutcome,
  TrainingOutcome,
} from '../activities/interfaces.js';
import type { PauseControl } from './pause-control.js';
import { gpuPolicy, gpuPriority, hostWorkPolicy } from './policies.js';

/** Which run is trained, and from which of its resumes on. */
interface TrainedRun {
  readonly id: string;
  readonly generation: number;
  readonly summary: string;
}

/** Trains a candidate of the daily cycle. */
export async function trainRun(run: TrainedRun, placement: Placement, pause: PauseControl): Promise<TrainedOutcome> {
  const gpu = proxyActivities<GpuActivities>(trainingPolicy(run, placement, gpuPriority.dailyTraining));
  return superviseTraining(run, { placement, pause, train: (reference) => gpu.trainAdapter(reference) });
}

/** How the activity of a training waits, runs and is shown. */
export function trainingPolicy({ summary }: TrainedRun, placement: Placement, priority: Priority): ActivityOptions {
  return { ...gpuPolicy(placement), summary, priority };
}

interface Supervision {
  readonly placement: Placement;
  readonly pause: PauseControl;
  readonly train: (reference: RunReference) => Promise<TrainingOutcome>;
}

/**
 * Trains one run to its end, across pauses. However it ends (done, failed, cancelled while the GPU worker was dead), no
 * trainer of this run is left behind: the stop goes through the host queue, which is never busy with the GPU.
 */
export async function superviseTraining(
  run: TrainedRun,
  { placement, pause, train }: Supervision,
): Promise<TrainedOutcome> {
  const host = proxyActivities<HostActivities>(hostWorkPolicy(placement));
  let generation = run.generation;
  const reference = () => ({ run: run.id, generation, gpuIndex: placement.gpuIndex });
  try {
    await pause.gate();
    for (;;) {
      const outcome = await untilPaused(
        pause,
        () => train(reference()),
        () => host.pauseTrainer(reference()),
      );
      if (outcome?.outcome === 'trained') return outcome;
      // What stopped this generation must not stop the next, which goes on once the pause is over.
      await pause.gate();
      generation += 1;
    }
  } finally {
    await CancellationScope.nonCancellable(() => host.stopTrainer(reference()));
  }
}

/** Runs the training in a scope of its own, which a pause cancels after the trainer has saved a complete state. */
async function untilPaused(
  pause: PauseControl,
  train: () => Promise<TrainingOutcome>,
  save: () => ReturnType<HostActivities['pauseTrainer']>,
): Promise<TrainingOutcome | undefined> {
  const scope = new CancellationScope();
  try {
    return await pause.during(
      async () => {
        const saved = await CancellationScope.nonCancellable(save);
        scope.cancel();
        return saved;
      },
      () => scope.run(train),
    );
  } catch (error) {
    // Whatever the interrupted activity ended with (a timeout, when its worker was dead): the state is saved.
    if (scope.consideredCancelled && !CancellationScope.current().consideredCancelled) return undefined;
    throw error;
  }
}
