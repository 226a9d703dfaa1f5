import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';

import { TowerError } from '../errors.js';

export const loopback = '127.0.0.1';

/**
 * The first free port of the wanted ones, else any free one.
 *
 * @param taken ports already promised to somebody else.
 */
export async function pickPort(wanted: readonly number[], taken: readonly number[] = []): Promise<number> {
  for (const port of [...wanted, 0, 0]) {
    const found = taken.includes(port) ? undefined : await tryListen(port);
    if (found !== undefined && !taken.includes(found)) return found;
  }
  throw new TowerError('NO_FREE_PORT', 'no TCP port is free on the loopback address', { retryable: true });
}

async function tryListen(port: number): Promise<number | undefined> {
  const server = createServer();
  server.listen({ port, host: loopback, exclusive: true });
  try {
    await once(server, 'listening');
  } catch {
    return undefined;
  }
  const found = (server.address() as AddressInfo).port;
  server.close();
  await once(server, 'close');
  return found;
}
