import type { Context } from '@temporalio/activity';

/**
 * Runs `work` with a heartbeat on a timer, so that a silent minute (a model load, a checkpoint) is not a dead worker.
 * The newest progress is the heartbeat's details.
 *
 * @param periodMs one of the constants that must agree; the heartbeat timeout is four of it (`choosePlacement`).
 * @param initial details before any progress is reported.
 */
export async function withHeartbeat<Progress, Result>(
  context: Context,
  periodMs: number,
  work: (report: (progress: Progress) => void) => Promise<Result>,
  initial?: Progress,
): Promise<Result> {
  let latest = initial;
  const beat = () => context.heartbeat(latest);
  beat();
  const timer = setInterval(beat, periodMs);
  try {
    return await work((progress) => {
      latest = progress;
    });
  } finally {
    clearInterval(timer);
  }
}
