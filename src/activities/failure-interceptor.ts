import { ApplicationFailure } from '@temporalio/common';
import { CompleteAsyncError, type Context } from '@temporalio/activity';
import type { ActivityExecuteInput, ActivityInboundCallsInterceptor, Next } from '@temporalio/worker';

import { describeError, TowerError } from '../errors.js';
import type { Log } from '../log/logger.js';
import { isAborted } from './unexpected.js';

/** A failure's message in history; longer ones are cut, the log has them whole. */
const messageLimit = 2_000;

export interface FailureInterceptorOptions {
  readonly log: Log;
  /** Removes secrets from a text that goes into history. */
  readonly redact: (text: string) => string;
}

/**
 * The one place where errors of services become Temporal failures: `type` is the error's code, retryable or not as the
 * error says, with the next step in the details. Everything else that is thrown stays retryable and keeps its name.
 */
export class FailureInterceptor implements ActivityInboundCallsInterceptor {
  readonly #context: Context;
  readonly #options: FailureInterceptorOptions;

  constructor(context: Context, options: FailureInterceptorOptions) {
    this.#context = context;
    this.#options = options;
  }

  async execute(input: ActivityExecuteInput, next: Next<ActivityInboundCallsInterceptor, 'execute'>): Promise<unknown> {
    const { activityType, attempt, workflowExecution } = this.#context.info;
    const log = this.#options.log.child({
      activity: activityType,
      attempt,
      workflowId: workflowExecution?.workflowId,
      workflowRunId: workflowExecution?.runId,
    });
    const started = performance.now();
    const elapsed = () => ({ seconds: Number(((performance.now() - started) / 1000).toFixed(3)) });
    log.info('activity started');
    try {
      const result = await next(input);
      log.info(elapsed(), 'activity completed');
      return result;
    } catch (error) {
      if (error instanceof CompleteAsyncError) throw error;
      if (isAborted(error)) log.info({ ...elapsed(), reason: describeError(error) }, 'activity cancelled');
      else if (isBenign(error)) log.info({ ...elapsed(), reason: describeError(error) }, 'activity waits for the GPU');
      else log.error({ ...elapsed(), err: error }, 'activity failed');
      throw this.#toFailure(error);
    }
  }

  #toFailure(error: unknown): unknown {
    if (isAborted(error) || error instanceof ApplicationFailure) return error;
    const message = this.#options.redact(describeError(error)).slice(0, messageLimit);
    if (error instanceof TowerError) {
      const next = error.next === undefined ? null : this.#options.redact(error.next);
      return ApplicationFailure.create({
        message: next === null ? message : `${message} Next: ${next}`,
        type: error.code,
        nonRetryable: !error.retryable,
        ...(error.retryAfterMs !== undefined && { nextRetryDelay: error.retryAfterMs }),
        ...(isBenign(error) && { category: 'BENIGN' as const }),
        details: [{ code: error.code, next }],
      });
    }
    const type = error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.name) : 'Error';
    return ApplicationFailure.create({ message, type, nonRetryable: false });
  }
}

/** Waiting for the GPU is ordinary: no error in the log, no failure in the metrics. */
function isBenign(error: unknown): boolean {
  return error instanceof TowerError && (error.code === 'GPU_BUSY' || error.code === 'GPU_GIVEN_BACK');
}
