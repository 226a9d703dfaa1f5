import { once } from 'node:events';
import { createConnection } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

import { Connection } from '@temporalio/client';

import { TowerError } from '../errors.js';
import type { ServiceOptions } from '../service-options.js';
import { loopback } from './free-ports.js';
import type { GuardedProcess } from './guarded-process.js';
import { prepareNamespace, type NamespaceNeeds } from './prepare-namespace.js';

export interface AwaitServerInput extends NamespaceNeeds {
  /** How long the server may take to answer, in milliseconds; default 60 s. */
  readonly startTimeoutMs?: number;
}

/**
 * Waits until a server that was just started answers and its namespace can be used.
 *
 * @throws TowerError `EMBEDDED_SERVER_FAILED` when it ends by itself or does not answer in time.
 */
export async function awaitServer(
  server: GuardedProcess,
  address: string,
  input: AwaitServerInput,
  options: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<void> {
  const timeoutMs = input.startTimeoutMs ?? 60_000;
  const waiting = new AbortController();
  const signal = AbortSignal.any([options.signal, waiting.signal, AbortSignal.timeout(timeoutMs)]);
  const ended = server.exited.then((exit) => {
    throw new TowerError(
      'EMBEDDED_SERVER_FAILED',
      `the server ended by itself (${exit.signal ?? `code ${exit.code}`})`,
    );
  });
  try {
    await Promise.race([ended, untilUsable(address, input, { ...options, signal })]);
  } catch (error) {
    options.signal.throwIfAborted();
    if (!signal.aborted) throw error;
    throw new TowerError('EMBEDDED_SERVER_FAILED', `the server did not answer within ${timeoutMs / 1000} s`, {
      cause: error,
    });
  } finally {
    waiting.abort();
  }
}

async function untilUsable(
  address: string,
  input: AwaitServerInput,
  options: Pick<ServiceOptions, 'signal' | 'log'>,
): Promise<void> {
  const connection = await connect(address, options.signal);
  try {
    await connection.withAbortSignal(options.signal, () => prepareNamespace(connection, input, options));
  } finally {
    await connection.close();
  }
}

async function connect(address: string, signal: AbortSignal): Promise<Connection> {
  const [host = loopback, port] = address.split(':');
  // A gRPC channel that meets a closed port backs off for a second; asking the port first costs nothing.
  while (!(await accepts(host, Number(port)))) await sleep(50, undefined, { signal });
  for (;;) {
    try {
      return await Connection.connect({ address, connectTimeout: 1_000 });
    } catch {
      await sleep(50, undefined, { signal });
    }
  }
}

async function accepts(host: string, port: number): Promise<boolean> {
  const socket = createConnection({ host, port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
