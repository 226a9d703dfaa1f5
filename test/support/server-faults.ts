import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

import { TowerError } from '../../src/errors.js';
import type { Fault, FaultRule } from '../../src/sims/signz-mind/faults.js';

/** The first `times` requests to a route get the fault. */
export function rule(route: string, fault: Fault, times = 1): FaultRule {
  return { route, fault, times };
}

/** The error that a call is expected to end with. */
export async function failure(call: Promise<unknown>): Promise<TowerError> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TowerError)) throw new Error(`expected a TowerError, found ${String(error)}`);
  return error;
}

/** A server that answers as the listener says, for what no faithful server does. */
export async function withServer<Result>(
  listener: RequestListener,
  work: (address: string) => Promise<Result>,
): Promise<Result> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}
