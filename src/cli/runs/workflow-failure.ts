import {
  ApplicationFailure,
  CancelledFailure,
  TemporalFailure,
  TerminatedFailure,
  TimeoutFailure,
} from '@temporalio/common';

/** Why something failed, as a person and a script want it: the innermost reason, not the layers around it. */
export interface FailureText {
  /** Stable code of a Tower error, else the error's type. */
  readonly code: string;
  readonly message: string;
  readonly next: string | null;
}

/** The reason at the bottom of a chain of Temporal failures. */
export function failureOf(error: unknown): FailureText {
  const reason = innermost(error);
  if (reason instanceof ApplicationFailure) {
    const next = nextOf(reason.details);
    const message = next === null ? reason.message : reason.message.replace(` Next: ${next}`, '');
    return { code: reason.type ?? 'UNEXPECTED', message, next };
  }
  if (reason instanceof CancelledFailure) return { code: 'CANCELLED', message: 'it was cancelled', next: null };
  if (reason instanceof TimeoutFailure)
    return { code: `TIMEOUT_${reason.timeoutType}`, message: reason.message, next: null };
  if (reason instanceof TerminatedFailure) return { code: 'TERMINATED', message: reason.message, next: null };
  if (reason instanceof Error) return { code: reason.name, message: reason.message, next: null };
  return { code: 'UNEXPECTED', message: String(reason), next: null };
}

function innermost(error: unknown): unknown {
  let reason = error;
  while (reason instanceof Error && reason.cause instanceof TemporalFailure) reason = reason.cause;
  return reason;
}

/** What the activity interceptor puts into a failure's details beside the message. */
function nextOf(details: unknown): string | null {
  const first: unknown = Array.isArray(details) ? details[0] : undefined;
  const next: unknown = typeof first === 'object' && first !== null && 'next' in first ? first.next : null;
  return typeof next === 'string' ? next : null;
}
