import { TowerError } from '../../errors.js';

const reachNext = 'Check `server.url` and that the Signz-Mind server runs; the work goes on by itself when it answers.';

/** The server could not be reached, or the connection broke. Retryable. */
export class ServerUnreachableError extends TowerError {
  constructor(request: string, cause: unknown) {
    super('SERVER_UNREACHABLE', `${request}: the connection failed: ${safeReason(cause)}`, {
      retryable: true,
      next: reachNext,
    });
  }
}

/** Nothing moved for the time limit. Retryable. */
export class ServerTimeoutError extends TowerError {
  constructor(request: string, timeoutMs: number) {
    super('SERVER_TIMEOUT', `${request}: no answer and no byte for ${timeoutMs / 1000} s`, {
      retryable: true,
      next: reachNext,
    });
  }
}

/** The server answered, but not with what the contract says. Not retryable. */
export class ServerAnswerError extends TowerError {
  constructor(request: string, expectation: string, found: string) {
    super('SERVER_ANSWER_INVALID', `${request}: expected ${expectation}, found ${found}`, {
      next: 'Check that `server.url` is the address of the Signz-Mind API itself, not of a proxy or login page.',
    });
  }
}

/** A body ended early or is not what its header says. Retryable. */
export class DownloadIncompleteError extends TowerError {
  constructor(request: string, reason: string) {
    super('DOWNLOAD_INCOMPLETE', `${request}: ${reason}`, { retryable: true, next: 'The download is tried again.' });
  }
}

/** Error answer of the server (contract signz-mind 1.5) as a typed error. `detail` must not hold the key any more. */
export function errorOfStatus(request: string, status: number, answer: ErrorAnswer): TowerError {
  const said = answer.detail === '' ? '' : `: ${answer.detail}`;
  const details = { status };
  if (status === 401 || status === 403 || (status === 422 && answer.namesHeader)) {
    const why =
      status === 401 ? 'knows no such key' : status === 403 ? 'gives this key no right to that' : 'got no key';
    return new TowerError('SERVER_KEY_REJECTED', `${request}: the server ${why} (${status})${said}`, {
      details,
      next: 'Put a valid key with the role ROLE_TOWER_TRAINER into TOWER_SERVER_API_KEY or `server.apiKeyFile`.',
    });
  }
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    return new TowerError('SERVER_FAILED', `${request}: the server failed with status ${status}${said}`, {
      retryable: true,
      retryAfterMs: answer.retryAfterMs,
      details,
      next: reachNext,
    });
  }
  if (status === 404) {
    return new TowerError('SERVER_NOT_FOUND', `${request}: the server knows no such thing (404)${said}`, {
      details,
      next: 'Check `server.url`: the public Signz-Mind server lacks the routes of the tower (contract signz-mind 0).',
    });
  }
  if (status >= 300 && status < 400) {
    return new TowerError('SERVER_REDIRECTED', `${request}: the server redirects (${status})${said}`, {
      details,
      next: 'Set `server.url` to the final address; Tower does not carry its key to another place.',
    });
  }
  return new TowerError('SERVER_REFUSED', `${request}: the server refused with status ${status}${said}`, { details });
}

export interface ErrorAnswer {
  readonly detail: string;
  /** A 422 that complains about a header: the key is missing. */
  readonly namesHeader: boolean;
  readonly retryAfterMs: number | undefined;
}

/** Reads `{"detail": string | [{loc, msg}]}`; anything else becomes its own first 300 characters. */
export function readErrorAnswer(body: string, retryAfter: string | undefined): ErrorAnswer {
  const seconds = Number(retryAfter);
  const retryAfterMs = retryAfter !== undefined && seconds >= 0 ? Math.min(seconds, 600) * 1000 : undefined;
  let detail: unknown = body;
  try {
    detail = (JSON.parse(body) as { detail?: unknown } | null)?.detail ?? body;
  } catch {
    // Not JSON: the text itself is the detail.
  }
  const text = typeof detail === 'string' ? detail : JSON.stringify(detail);
  const namesHeader = Array.isArray(detail) && text.includes('"loc":["header"');
  return { detail: text.trim().slice(0, 300), namesHeader, retryAfterMs };
}

/** Never the error itself: errors of the HTTP library carry the request's headers, and so the key. */
function safeReason(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return [code, message].filter((part) => part !== undefined && part !== '').join(' ') || 'no reason given';
}
