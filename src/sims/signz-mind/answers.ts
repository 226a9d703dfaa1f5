/** What a route answers with; the server sends it, or what a fault makes of it. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A JSON value, or the path of a file to stream; neither for an empty body. */
  readonly json?: unknown;
  readonly file?: string;
  /** For the operation log: bytes that came in or go out with the file. */
  readonly bytes?: number;
  /** For the operation log: what the request is about, where its address does not say. */
  readonly name?: string;
}

/** An answer that ends the handling of a request: FastAPI's `{"detail": …}` (contract signz-mind 1.5). */
export class Refusal extends Error {
  readonly answer: Answer;

  constructor(status: number, detail: unknown, headers: Readonly<Record<string, string>> = {}) {
    super(typeof detail === 'string' ? detail : JSON.stringify(detail));
    this.answer = { status, json: { detail }, headers };
  }
}

/** 422 of FastAPI for a missing header, query or form field. */
export function missingField(...location: [place: 'header' | 'query' | 'body', name: string]): Refusal {
  const fault = { type: 'missing', loc: location, msg: 'Field required', input: null };
  // Two dependencies of the real server declare the header, so it is reported twice.
  return new Refusal(422, location[0] === 'header' ? [fault, fault] : [fault]);
}
