import { STATUS_CODES } from 'node:http';

import { TowerError } from '../../errors.js';

/**
 * What can go wrong with one call of the wrapper service. The kind decides how often and when the call is made again; see
 * `retry-budget.ts`.
 */
export const wrapperFaultKinds = {
  /** No connection, or it broke; also a service that says so of its model. */
  WRAPPER_UNREACHABLE: 'backoff',
  /** 429, 502, 503. */
  WRAPPER_OVERLOADED: 'backoff',
  /** No answer in time, whoever noticed it: the model may still be computing. */
  WRAPPER_TIMED_OUT: 'once-late',
  /** Any other fault of the service. */
  WRAPPER_FAILED: 'once',
  /** The service will not do this, however often it is asked. */
  WRAPPER_REFUSED: 'never',
  /** What came is not what the contract says. */
  WRAPPER_ANSWER_INVALID: 'never',
  /** The service used another wrapper than it was asked for. */
  WRAPPER_MISMATCH: 'never',
} as const;

export type WrapperFaultKind = keyof typeof wrapperFaultKinds;

const next: Readonly<Record<WrapperFaultKind, string>> = {
  WRAPPER_UNREACHABLE: 'Check `syntx.wrapper.url`, and that the wrapper service and its model run.',
  WRAPPER_OVERLOADED: 'Wait, or lower `syntx.consume.parallel`.',
  WRAPPER_TIMED_OUT: 'Look at the load of the model; the call is made once more when it must have ended.',
  WRAPPER_FAILED: 'Look into the log of the wrapper service.',
  WRAPPER_REFUSED: 'Check `syntx.wrapper.url` and `syntx.wrapper.path`.',
  WRAPPER_ANSWER_INVALID: 'Check that `syntx.wrapper.url` is the wrapper service itself, not a proxy or a login page.',
  WRAPPER_MISMATCH: 'Put the wrapper’s text file into the wrapper directory of the service.',
};

export interface WrapperFaultOptions {
  /** What the service, or the connection, said of itself. */
  readonly detail: string;
  /** How the original words it in `last_error.error` (contract syntx 3.3). */
  readonly upstreamError: string;
  /** How the original names it where it is an exception there (contract syntx 1.3, 3.1). */
  readonly exceptionType?: string;
  /** Default: whether the kind may be tried again at all. */
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  readonly status?: number;
}

/** What a service says of itself has no limit; what becomes of it goes through the workflow's history. */
const textLimit = 500;

/** A failed call of the wrapper service: never a score. `code` is its kind. No text in it is longer than some lines. */
export class WrapperFault extends TowerError {
  declare readonly code: WrapperFaultKind;
  readonly detail: string;
  readonly upstreamError: string;
  readonly exceptionType: string | undefined;
  readonly status: number | undefined;

  constructor(kind: WrapperFaultKind, message: string, options: WrapperFaultOptions) {
    const [detail, upstreamError] = [cut(options.detail), cut(options.upstreamError)];
    super(kind, cut(message), {
      retryable: options.retryable ?? wrapperFaultKinds[kind] !== 'never',
      ...{ retryAfterMs: options.retryAfterMs, next: next[kind] },
      details: {
        upstreamError,
        ...(options.status !== undefined && { status: options.status }),
      },
    });
    this.detail = detail;
    this.upstreamError = upstreamError;
    this.exceptionType = options.exceptionType;
    this.status = options.status;
  }
}

/** Half a character, which a cut or a service leaves, becomes a sign that can be sent on. */
function cut(text: string): string {
  return Buffer.from(text.length <= textLimit ? text : `${text.slice(0, textLimit)} …`).toString();
}

/** The service could not be reached, or the connection broke before the answer was whole. */
export function unreachable(request: string, reason: string): WrapperFault {
  const message = `${request}: the connection failed: ${reason}`;
  return new WrapperFault('WRAPPER_UNREACHABLE', message, {
    ...{ detail: reason, upstreamError: `Connection failed: ${reason}` },
  });
}

export function timedOut(request: string, timeoutMs: number): WrapperFault {
  const upstreamError = `Timeout after ${Math.round(timeoutMs / 1000)}s`;
  const message = `${request}: no answer within ${timeoutMs / 1000} s`;
  return new WrapperFault('WRAPPER_TIMED_OUT', message, { detail: message, upstreamError });
}

/** @param upstreamError as Python names what it cannot read. */
export function answerInvalid(request: string, found: string, upstreamError: string): WrapperFault {
  return new WrapperFault('WRAPPER_ANSWER_INVALID', `${request}: ${found}`, { detail: found, upstreamError });
}

export function wrapperMismatch(request: string, asked: string, chain: readonly string[] | undefined): WrapperFault {
  const used = chain === undefined ? 'does not say which wrapper it used' : `used [${chain.join(', ')}]`;
  const detail = `asked for ${asked}, the service ${used}`;
  return new WrapperFault('WRAPPER_MISMATCH', `${request}: ${detail}`, {
    ...{ detail, upstreamError: detail, exceptionType: 'WrapperNotFoundError' },
  });
}

export interface ErrorStatus {
  readonly status: number;
  /** `detail` of the body, or the start of a body that has none. */
  readonly detail: string;
  readonly retryAfterMs: number | undefined;
  readonly url: string;
}

/** An error status of the service or of a proxy before it (contract syntx 3.2, 5.1). */
export function faultOfStatus(request: string, { status, detail, retryAfterMs, url }: ErrorStatus): WrapperFault {
  const said = detail === '' ? '' : `: ${detail}`;
  const upstreamError =
    status >= 500
      ? `HTTPError: Server Error ${status}`
      : `HTTPError: ${status} Client Error: ${STATUS_CODES[status] ?? 'Unknown'} for url: ${url}`;
  return new WrapperFault(kindOf(status, detail), `${request}: status ${status}${said}`, {
    ...{ detail, upstreamError, retryAfterMs, status },
  });
}

function kindOf(status: number, detail: string): WrapperFaultKind {
  if (status === 429 || status === 502 || status === 503) return 'WRAPPER_OVERLOADED';
  if (status === 504) return 'WRAPPER_TIMED_OUT';
  if (status < 500) return 'WRAPPER_REFUSED';
  // The service answers 500 for everything: the detail tells its model's being away from its being slow.
  if (status === 500 && /connection attempts failed\.?$/i.test(detail)) return 'WRAPPER_UNREACHABLE';
  return status === 500 && detail === '' ? 'WRAPPER_TIMED_OUT' : 'WRAPPER_FAILED';
}
