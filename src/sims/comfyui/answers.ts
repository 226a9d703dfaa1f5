/** What a route answers with; the server sends it, or what a fault makes of it. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A JSON value, a body with a type, or the path of a file; none of them for an empty body. */
  readonly json?: unknown;
  readonly body?: { readonly bytes: Buffer; readonly type: string };
  readonly file?: string;
  /** The prompt that was accepted, for a fault that answers after its end. */
  readonly promptId?: string;
}

/** Routes that answer nothing: 200 and no body. */
export const nothing: Answer = { status: 200 };

export function json(value: unknown, status = 200): Answer {
  return { status, json: value };
}

export function text(status: number, content: string): Answer {
  return { status, body: { bytes: Buffer.from(content), type: 'text/plain; charset=utf-8' } };
}
