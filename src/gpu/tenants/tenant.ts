import { isAxiosError } from 'axios';

import { describeError, TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';

/** `freed`: it was asked and agreed. `away`: nobody answers at its address, so it holds nothing. */
export type TenantAnswer = 'freed' | 'away';

/** A program that shares the GPU with Tower and gives its VRAM back when asked. */
export interface Tenant {
  /** Name and address, for messages. */
  readonly name: string;
  /**
   * Asks for the VRAM; waits for work of its own that is already running.
   *
   * @throws TowerError `TENANT_FAILED` (retryable) when it answers with an error.
   */
  makeRoom(options: Pick<ServiceOptions, 'signal' | 'log'>): Promise<TenantAnswer>;
}

export const tenantRequestTimeoutMs = 15_000;

const awayCodes: readonly unknown[] = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND'];

/** Whether a request failed because nothing listens there. A timeout is not such a case: a busy tenant is still a tenant. */
export function isAway(error: unknown): boolean {
  if (error instanceof TowerError) return awayCodes.includes(error.details['code']);
  return isAxiosError(error) && awayCodes.includes(error.code);
}

export function tenantFailed(name: string, error: unknown): TowerError {
  return new TowerError('TENANT_FAILED', `${name} did not give its GPU memory back: ${describeError(error)}`, {
    retryable: true,
    retryAfterMs: 15_000,
    next: `Look at ${name}, or take it out of \`gpu.tenants\`.`,
    details: { tenant: name },
    cause: error,
  });
}
