/** What a {@link TowerError} carries beside its message. */
export interface TowerErrorOptions {
  /** What a person should do next, as one sentence. */
  readonly next?: string;
  /** Whether the same call may succeed later without anybody changing anything. Default `false`. */
  readonly retryable?: boolean;
  /** When retrying helps: how long to wait first, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Small, JSON-safe facts for `--json` output and the Web UI; never secrets, never bytes. */
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/**
 * Base of every error that Tower throws on purpose.
 *
 * `code` is stable and documented; the message says what was expected and what was found. Services throw these and know
 * nothing of Temporal; the activity interceptor turns them into application failures whose `type` is the code.
 */
export class TowerError extends Error {
  readonly code: string;
  readonly next: string | undefined;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, options: TowerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.next = options.next;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
  }
}

/** The message of anything thrown, with the messages of its causes, for logs and wrapped errors. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : ` (cause: ${describeError(error.cause)})`;
  return `${error.message}${cause}`;
}
