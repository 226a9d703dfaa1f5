import { CancellationScope, CancelledFailure, isCancellation } from '@temporalio/workflow';

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
