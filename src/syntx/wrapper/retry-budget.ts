import { wrapperFaultKinds, type WrapperFaultKind } from './wrapper-faults.js';

/** How often and when calls of the wrapper service are made again, for each job. */
export interface RetryBudget {
  /** Connection faults and overload: so many retries, the first after `firstMs`, each after twice the time, up to `longestMs`. */
  readonly backoff: { readonly retries: number; readonly firstMs: number; readonly longestMs: number };
  /** Time-outs are tried once more after so long: by then the model has given up, too. */
  readonly lateMs: number;
  /** Other faults of the service are tried once more after so long. */
  readonly onceMs: number;
}

export const defaultRetryBudget: RetryBudget = {
  backoff: { retries: 8, firstMs: 15_000, longestMs: 600_000 },
  lateMs: 1_800_000,
  onceMs: 30_000,
};

export type NextTry = { readonly retry: true; readonly afterMs: number } | { readonly retry: false };

/**
 * Whether a job's call is made again.
 *
 * @param kinds every fault of the job so far, the newest last.
 * @param retryAfterMs what the service asked for.
 */
export function nextTry(kinds: readonly string[], budget: RetryBudget, retryAfterMs = 0): NextTry {
  const rule = ruleOf(kinds.at(-1));
  const count = kinds.filter((kind) => ruleOf(kind) === rule).length;
  switch (rule) {
    case 'backoff': {
      const { retries, firstMs, longestMs } = budget.backoff;
      const pauseMs = Math.min(firstMs * 2 ** (count - 1), longestMs);
      return count > retries ? { retry: false } : { retry: true, afterMs: Math.max(pauseMs, retryAfterMs) };
    }
    case 'once-late':
      return count > 1 ? { retry: false } : { retry: true, afterMs: budget.lateMs };
    case 'once':
      return count > 1 ? { retry: false } : { retry: true, afterMs: budget.onceMs };
    case 'never':
      return { retry: false };
  }
}

function ruleOf(kind: string | undefined): (typeof wrapperFaultKinds)[WrapperFaultKind] {
  return wrapperFaultKinds[kind as WrapperFaultKind] ?? 'never';
}
