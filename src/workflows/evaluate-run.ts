import { CancellationScope, proxyActivities } from '@temporalio/workflow';

import type { EvaluationPlan, GpuActivities, HostActivities, Placement } from '../activities/interfaces.js';
import type { PauseControl } from './pause-control.js';
import { gpuPolicy, gpuPriority, hostWorkPolicy } from './policies.js';

/**
 * Evaluates a candidate on the GPU, to its end: a pause waits for it, because an evaluation has no state to go on from.
 * However it ends, no evaluator is left behind.
 */
export async function evaluateRun(
  { run, generation: first }: EvaluationPlan,
  placement: Placement,
  { pause, summary }: { readonly pause: PauseControl; readonly summary: string },
): Promise<void> {
  const gpu = proxyActivities<GpuActivities>({
    ...gpuPolicy(placement),
    summary,
    priority: gpuPriority.dailyTraining,
  });
  const host = proxyActivities<HostActivities>(hostWorkPolicy(placement));
  let generation = first;
  const reference = () => ({ run, generation, gpuIndex: placement.gpuIndex });
  try {
    for (;;) {
      const { outcome } = await gpu.evaluateAdapter(reference());
      if (outcome === 'evaluated') return;
      // Only the activity itself was paused, by Temporal's own means; the next start needs a generation of its own.
      await pause.gate();
      generation += 1;
    }
  } finally {
    await CancellationScope.nonCancellable(() => host.stopTrainer(reference()));
  }
}
