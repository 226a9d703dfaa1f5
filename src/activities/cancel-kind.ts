import type { Context } from '@temporalio/activity';

/**
 * What the end of an activity means for its trainer, by why it ends (engineering notes, cancellation details): a person's
 * cancel stops it, a pause stops it after a complete state; a worker's shutdown, a lost server or a timed-out attempt says
 * nothing about the work, so the trainer goes on and the next attempt adopts it.
 */
export function cancelKind(context: Context): 'stop' | 'pause' | 'detach' {
  const details = context.cancellationDetails;
  if (details?.cancelRequested) return 'stop';
  return details?.paused ? 'pause' : 'detach';
}
