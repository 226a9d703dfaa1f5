import {
  CancellationScope,
  CancelledFailure,
  isCancellation,
  patched,
  type ActivityOptions,
} from '@temporalio/workflow';

/**
 * What a cancelled scope ends with. Once a cancel is requested the server retries nothing, so an activity whose worker
 * was dead ends as timed out, and one that could not end in order with its own error: that is the cancel's end all the same.
 *
 * @returns the error, as a cancellation if the current scope was cancelled.
 */
export function asCancellation(error: unknown): unknown {
  if (isCancellation(error) || !CancellationScope.current().consideredCancelled) return error;
  const cause = error instanceof Error ? error : undefined;
  return new CancelledFailure('cancelled; what it interrupted did not end in order', [], cause);
}

/**
 * A policy of activities that are at work until a heartbeat tells them of a cancel: it ends them before the workflow goes on, so
 * that the next run does not begin beside them. The SDK's own default does not wait.
 */
export function waitedFor(policy: ActivityOptions): ActivityOptions {
  // Runs that began with an older Tower went on at once.
  if (!patched('cancelled-work-is-waited-for')) return policy;
  return { ...policy, cancellationType: 'WAIT_CANCELLATION_COMPLETED' };
}
