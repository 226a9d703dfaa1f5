import { ApplicationFailure, CancellationScope, condition, isCancellation } from '@temporalio/workflow';

import type { PauseControl } from './pause-control.js';

/**
 * Runs a stage that may last so long: waiting for the GPU counts, a pause does not.
 *
 * @param limitMs `null`: as long as it takes.
 * @throws ApplicationFailure `STAGE_TIMED_OUT` when the limit passes first; the stage has ended in order then.
 */
export async function withinLimit<Result>(
  { stage, limitMs, pause }: { readonly stage: string; readonly limitMs: number | null; readonly pause: PauseControl },
  work: () => Promise<Result>,
): Promise<Result> {
  if (limitMs === null) return work();
  const scope = new CancellationScope();
  const watch = new CancellationScope();
  let over = false;
  void watch
    .run(() => passed(limitMs, pause))
    .then(
      () => {
        over = true;
        scope.cancel();
      },
      // Cancelled together with the stage, or after it.
      () => undefined,
    );
  try {
    return await scope.run(work);
  } catch (error) {
    if (!over || CancellationScope.current().consideredCancelled) throw error;
    const cause = isCancellation(error) || !(error instanceof Error) ? undefined : error;
    throw ApplicationFailure.create({
      message: `the stage ${stage} was ended after ${Math.round(limitMs / 1000)} s, as the job says`,
      type: 'STAGE_TIMED_OUT',
      nonRetryable: true,
      details: [{ code: 'STAGE_TIMED_OUT', next: `Raise the timeout of ${stage}; the run goes on from what it has.` }],
      ...(cause !== undefined && { cause }),
    });
  } finally {
    watch.cancel();
  }
}

/** Resolves when so much time has passed outside pauses. */
async function passed(limitMs: number, pause: PauseControl): Promise<void> {
  for (let left = limitMs; left > 0;) {
    await pause.gate();
    const since = Date.now();
    await condition(() => pause.paused, left);
    left -= Date.now() - since;
  }
}
