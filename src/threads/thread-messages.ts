import { TowerError, type TowerErrorOptions } from '../errors.js';

/** What a thread is told. */
export type ThreadRequest<Job> =
  { readonly id: number; readonly job: Job } | { readonly id: number; readonly job?: never; readonly abort: true };

/** What it answers with: progress, and in the end a result or a fault. */
export type ThreadAnswer<Result, Progress> =
  | { readonly id: number; readonly kind: 'progress'; readonly progress: Progress }
  | { readonly id: number; readonly kind: 'result'; readonly result: Result }
  | { readonly id: number; readonly kind: 'fault'; readonly fault: CarriedError };

/** An error between threads, where classes and own properties are lost. */
export interface CarriedError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  /** Present when it is a {@link TowerError}. */
  readonly tower?: Omit<TowerErrorOptions, 'cause'>;
}

export function carried(error: unknown): CarriedError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error), stack: undefined, code: undefined };
  const { name, message, stack } = error;
  if (!(error instanceof TowerError)) {
    return { name, message, stack, code: (error as NodeJS.ErrnoException).code };
  }
  const { code, next, retryable, retryAfterMs, details } = error;
  return {
    ...{ name, message, stack, code },
    tower: {
      retryable,
      details,
      ...(next !== undefined && { next }),
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    },
  };
}

export function restored({ name, message, stack, code, tower }: CarriedError): Error {
  const error =
    tower === undefined ? Object.assign(new Error(message), { code }) : new TowerError(code ?? '', message, tower);
  return Object.assign(error, { name }, stack !== undefined && { stack });
}
