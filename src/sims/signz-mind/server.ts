import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { adminRoutes } from './admin-routes.js';
import { missingField, Refusal, type Answer } from './answers.js';
import { dataRoutes } from './data-routes.js';
import type { Fault, Faults } from './faults.js';
import { OperationLog, readOperations, type Operation } from './operation-log.js';
import { drained } from './receive-form.js';
import { matchingRoutes, type Route } from './route.js';
import { sendAnswer } from './send-answer.js';
import { Storage } from './storage.js';
import { hasRole, UserStore, type SeededUser, type User } from './users.js';

export interface SignzMindServerOptions {
  /** Everything the server keeps lies here; a restarted server goes on with it. */
  readonly directory: string;
  /** 0, the default, takes a free port. Loopback only. */
  readonly port?: number;
  readonly users: readonly SeededUser[];
  readonly faults?: Faults;
  readonly now?: () => Date;
}

export interface SignzMindServer {
  /** Base address, without a slash at the end. */
  readonly address: string;
  operations(): Operation[];
  close(): Promise<void>;
}

const routes: readonly Route[] = [...dataRoutes, ...adminRoutes];

/**
 * A simulated Signz-Mind server that speaks the protocol of the real one (contract signz-mind 1 and 2): keys and roles,
 * error bodies, stored names, folders. What the public server lacks (the tower's routes) follows the contract's proposals.
 * Left out: OpenAPI pages and the admin web page.
 *
 * It never claims to be real: every answer has the header `X-Simulated: true`, texts and stored records say it.
 */
export async function startSignzMindServer(options: SignzMindServerOptions): Promise<SignzMindServer> {
  const { directory, faults, now = () => new Date() } = options;
  const storage = await Storage.open(directory, now);
  const users = await UserStore.open(directory, options.users);
  const log = new OperationLog(directory);
  const counts = new Map<string, number>();

  const server = createServer((request, response) => {
    void handle(request).then(
      ({ answer, fault }) => sendAnswer(request, response, answer, fault),
      // The sender went away in the middle of its request.
      () => response.destroy(),
    );
  });

  async function handle(request: IncomingMessage): Promise<{ answer: Answer; fault: Fault | undefined }> {
    const url = new URL(request.url ?? '/', 'http://simulated');
    const method = request.method ?? 'GET';
    const found = findRoute(method, url);
    const name = 'route' in found && found.parameter !== '' ? safeDecode(found.parameter) : null;
    const pattern = 'route' in found ? found.route.pattern : url.pathname;

    const key = `${method} ${pattern} ${name ?? ''}`;
    const earlier = counts.get(key) ?? 0;
    counts.set(key, earlier + 1);
    const fault = faults?.({ method, route: pattern, name, earlier });

    let user: User | undefined;
    let answer: Answer;
    if (fault !== undefined && actsNot(fault)) {
      await drained(request);
      answer = { status: fault.kind === 'status' ? fault.status : 200, json: { detail: 'simulated fault' } };
    } else {
      try {
        if (!('route' in found)) throw found;
        if (found.route.role !== undefined) user = authenticate(request, users, found.route.role);
        answer = await found.route.handle({ request, url, parameter: found.parameter, user, users, storage });
      } catch (error) {
        if (request.errored) throw error;
        answer = error instanceof Refusal ? error.answer : { status: 500, json: { detail: String(error) } };
      }
      if (!request.readableEnded) await drained(request);
    }
    log.append({
      ...{ method, route: pattern, name: answer.name ?? name, status: answer.status, bytes: answer.bytes ?? 0 },
      ...{ user: user?.username ?? null, fault: fault?.kind ?? null },
    });
    return { answer, fault };
  }

  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    operations: () => readOperations(directory),
    close: () => close(server),
  };
}

/** 422 without the header, 401 for a key nobody has, 403 without the role (contract signz-mind 1.5). */
function authenticate(request: IncomingMessage, users: UserStore, role: NonNullable<Route['role']>): User {
  const key = request.headers['x-api-key'];
  if (typeof key !== 'string') throw missingField('header', 'X-API-Key');
  const user = key === '' ? undefined : users.byKey(key);
  if (user === undefined) throw new Refusal(401, 'Ungültiger API-Schlüssel (simulated)');
  if (!hasRole(user, role)) throw new Refusal(403, `Rolle ${role} erforderlich (simulated)`);
  return user;
}

function findRoute(method: string, url: URL): { route: Route; parameter: string } | Refusal {
  const { pathname } = url;
  const fitting = matchingRoutes(routes, pathname);
  const match = fitting.find(({ route }) => route.method === method);
  if (match !== undefined) return match;
  if (fitting.length > 0) return new Refusal(405, 'Method Not Allowed');
  if (pathname.endsWith('/') && matchingRoutes(routes, pathname.slice(0, -1)).length > 0) {
    return new Refusal(307, 'redirect', { location: `${pathname.slice(0, -1)}${url.search}` });
  }
  return new Refusal(404, 'Not Found');
}

function actsNot(fault: Fault): boolean {
  return (
    fault.kind === 'status' || fault.kind === 'replace' || (fault.kind === 'reset' && fault.when === 'before-acting')
  );
}

function safeDecode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
    server.closeAllConnections();
  });
}
