import { CancellationScope, proxyActivities } from '@temporalio/workflow';

import type {
  GpuActivities,
  HostActivities,
  Placement,
  TrainedOutcome,
  TrainingOutcome,
} from '../activities/interfaces.js';
import type { PauseControl } from './pause-control.js';
import { gpuPolicy, gpuPriority, hostWorkPolicy } from './policies.js';

/**
 * Trains one run to its end, across pauses. However it ends (done, failed, cancelled while the GPU worker was dead), no
 * trainer of this run is left behind: the stop goes through the host queue, which is never busy with the GPU.
 */
export async function trainRun(
  run: { readonly id: string; readonly generation: number; readonly summary: string },
  placement: Placement,
  pause: PauseControl,
): Promise<TrainedOutcome> {
  const gpu = proxyActivities<GpuActivities>({
    ...gpuPolicy(placement),
    summary: run.summary,
    priority: gpuPriority.dailyTraining,
  });
  const host = proxyActivities<HostActivities>(hostWorkPolicy(placement));
  let generation = run.generation;
  const reference = () => ({ run: run.id, generation, gpuIndex: placement.gpuIndex });
  try {
    await pause.gate();
    for (;;) {
      const outcome = await untilPaused(
        pause,
        () => gpu.trainAdapter(reference()),
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
