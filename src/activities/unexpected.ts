import { ActivityFailure, ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { CompleteAsyncError, Context } from '@temporalio/activity';
import { isGrpcServiceError, ServiceError } from '@temporalio/client';

import { TowerError } from '../errors.js';

/** So often in a row an activity may fail in a way that nobody has thought of: with the usual pauses, for two minutes. */
const longestRow = 8;

/** An activity that is told to end, which is no failure of it. */
export function isAborted(error: unknown): boolean {
  return error instanceof CancelledFailure || (error instanceof Error && error.name === 'AbortError');
}

/** Neither an error that Tower throws on purpose, nor one of Temporal, whose server may be away for a while. */
export function isUnexpected(error: unknown): boolean {
  const isKnown =
    error instanceof TowerError || error instanceof ApplicationFailure || error instanceof ActivityFailure;
  const isServers = error instanceof ServiceError || isGrpcServiceError(error);
  return !isKnown && !isServers && !isAborted(error) && !(error instanceof CompleteAsyncError);
}

/** What nobody has thought of, as an error that says what to do; tried again, because a machine may have had a bad moment. */
export function unexpectedError(cause: unknown, options: { readonly retryAfterMs?: number } = {}): TowerError {
  return unexpected(cause, { retryable: true, ...options });
}

function unexpected(cause: unknown, options: { readonly retryable: boolean; readonly retryAfterMs?: number }) {
  const name = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.name) : typeof cause;
  return new TowerError('UNEXPECTED', `${name} came where Tower expects no error`, {
    next: 'Look for it in tower.log. If it comes again and nothing is wrong with files or disks, it is a fault of Tower: report it.',
    cause,
    ...options,
  });
}

/**
 * The same activities, which fail for good when they fail in unexpected ways time after time: retried without end, an error in a
 * program looks like a run that hangs. A worker that starts anew counts anew.
 */
export function endingUnexpected<Activities extends object>(activities: Activities): Activities {
  const rows = new Map<string, number>();
  const bounded = (activity: (...input: unknown[]) => Promise<unknown>) => {
    return async (...input: unknown[]): Promise<unknown> => {
      const { workflowExecution, activityId } = Context.current().info;
      const key = `${workflowExecution?.runId ?? ''}/${activityId}`;
      const row = (rows.get(key) ?? 0) + 1;
      rows.delete(key);
      try {
        return await activity(...input);
      } catch (error) {
        if (!isUnexpected(error)) throw error;
        if (row < longestRow) rows.set(key, row);
        throw unexpected(error, { retryable: row < longestRow });
      }
    };
  };
  const entries = Object.entries(activities) as [string, Parameters<typeof bounded>[0]][];
  return Object.fromEntries(entries.map(([name, activity]) => [name, bounded(activity)])) as Activities;
}
