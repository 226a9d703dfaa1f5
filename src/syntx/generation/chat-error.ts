/**
 * How a call failed: `rate-limit` and `connection` are tried again (contract syntx 2.5); after `key`, `model` and `quota` every
 * other call would fail likewise.
 */
export type ChatFailure = 'rate-limit' | 'connection' | 'key' | 'model' | 'quota' | 'server' | 'other';

const wordings: Readonly<Partial<Record<ChatFailure, string>>> = {
  'rate-limit': 'Rate limit: ',
  quota: 'Rate limit: ',
  connection: 'Connection error: ',
};

/** A call of the chat endpoint that brought no answer. Inside the generation only: it ends in a record or a TowerError. */
export class ChatError extends Error {
  readonly kind: ChatFailure;

  constructor(kind: ChatFailure, message: string) {
    super(message);
    this.name = 'ChatError';
    this.kind = kind;
  }

  static ofStatus(status: number | undefined, code: string | null | undefined, message: string): ChatError {
    if (status === 401 || status === 403) return new ChatError('key', message);
    if (status === 402) return new ChatError('quota', message);
    if (status === 404) return new ChatError('model', message);
    if (status === 429) return new ChatError(code === 'insufficient_quota' ? 'quota' : 'rate-limit', message);
    return new ChatError(status !== undefined && status >= 500 ? 'server' : 'other', message);
  }

  get isRetried(): boolean {
    return this.kind === 'rate-limit' || this.kind === 'connection' || this.kind === 'quota';
  }

  /** Whether no other prompt has a chance either. */
  get isHopeless(): boolean {
    return this.kind === 'key' || this.kind === 'model' || this.kind === 'quota';
  }

  /** As the original words it in its results. */
  get wording(): string {
    return `${wordings[this.kind] ?? 'Error: '}${this.message}`;
  }
}
