import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

import { z } from 'zod';

import { CallLog, readCalls, type SimulatedCall } from './call-log.js';
import { answerChat, type ChatAnswer, type JsonAnswer, type ServiceState } from './chat.js';
import { defectsSchema, faultPlanSchema, Faults, type Defects, type FaultPlan } from './faults.js';
import { drawLandscape, landscapeSchema, type Landscape } from './landscape.js';

export interface SyntxServiceOptions {
  /** Its call log lies here. */
  readonly directory: string;
  /** 0, the default, takes a free port. Loopback only. */
  readonly port?: number;
  readonly landscape?: Landscape;
  readonly defects?: Partial<Defects>;
  readonly faults?: FaultPlan;
  /** Wrapper files that it has, without `.txt`; default: those of the production host. */
  readonly wrappers?: readonly string[];
  readonly latencyMs?: number;
}

export interface SyntxService {
  /** Base address, without a slash at the end. */
  readonly address: string;
  /** May be changed at any time, also by `PUT /sim/…`. */
  landscape: Landscape;
  defects: Defects;
  faults: FaultPlan;
  calls(): SimulatedCall[];
  close(): Promise<void>;
}

const productionWrappers = [
  ...['syntex_system', 'sigma', 'human', 'deepsweep', 'sigma_v2', 'backend', 'frontend', 'true_raw'],
  ...['universal', 'driftkörper', 'syntex_system_v2', 'ultra130'],
].map((name) => `syntex_wrapper_${name}`);

/**
 * A simulated wrapper service that speaks the protocol of the real one (contract syntx 5.1, 5.2), with its defects. There is no model
 * behind it: what a prompt scores is drawn from a hidden landscape, and the answer is written so that the original's
 * parsers give it just that score.
 *
 * It never claims to be real: every answer has the header `X-Simulated: true`, every text says it.
 */
export async function startSyntxService(options: SyntxServiceOptions): Promise<SyntxService> {
  const state: ServiceState = {
    landscape: options.landscape ?? drawLandscape('simulated'),
    defects: defectsSchema.parse(options.defects ?? {}),
    wrappers: options.wrappers ?? productionWrappers,
    faults: new Faults(options.faults ?? []),
    log: new CallLog(options.directory),
    ...{ latencyMs: options.latencyMs ?? 0, underWay: 0 },
  };
  const calls = () => readCalls(options.directory);
  const server = createServer((request, response) => {
    response.setHeader('X-Simulated', 'true');
    handle(state, request, calls).then(
      (answer) => send({ server, request, response }, answer),
      // The sender went away in the middle of its request.
      () => response.destroy(),
    );
  });
  await listen(server, options.port ?? 0);
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}`,
    get landscape() {
      return state.landscape;
    },
    set landscape(landscape) {
      state.landscape = landscape;
    },
    get defects() {
      return state.defects;
    },
    set defects(defects) {
      state.defects = defects;
    },
    get faults() {
      return state.faults.plan;
    },
    set faults(plan) {
      state.faults.plan = plan;
    },
    calls,
    close: () => close(server),
  };
}

async function handle(
  state: ServiceState,
  request: IncomingMessage,
  calls: () => SimulatedCall[],
): Promise<ChatAnswer | JsonAnswer> {
  const { pathname } = new URL(request.url ?? '/', 'http://simulated');
  const body = await text(request);
  const route = `${request.method ?? 'GET'} ${pathname}`;
  switch (route) {
    case 'POST /api/chat':
    case 'POST /resonanz/chat':
      return answerChat(state, pathname, body);
    case 'GET /health':
      return ok({ status: 'healthy (simulated)', api_version: 'simulated', modules: [] });
    case 'GET /resonanz/health':
    case 'GET /api/chat/health':
      return ok({ status: 'healthy (simulated)', service: 'simulated', version: 'simulated', last_response: null });
    case 'GET /resonanz/wrappers':
      return ok({ wrappers: state.wrappers.map((name) => ({ name, simulated: true })), count: state.wrappers.length });
    case 'GET /sim':
      return ok({
        landscape: state.landscape,
        defects: state.defects,
        faults: state.faults.plan,
        calls: calls().length,
      });
    case 'GET /sim/calls':
      return ok(calls());
    case 'PUT /sim/landscape':
      return changed(body, landscapeSchema, (landscape) => (state.landscape = landscape));
    case 'PUT /sim/defects':
      return changed(body, defectsSchema, (defects) => (state.defects = defects));
    case 'PUT /sim/faults':
      return changed(body, faultPlanSchema, (plan) => (state.faults.plan = plan));
    default:
      return { status: 404, json: { detail: 'Not Found' } };
  }
}

function ok(json: unknown): JsonAnswer {
  return { status: 200, json };
}

function changed<Schema extends z.ZodType>(
  body: string,
  schema: Schema,
  change: (value: z.output<Schema>) => void,
): JsonAnswer {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { status: 400, json: { detail: 'expected JSON (simulated)' } };
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) return { status: 400, json: { detail: z.prettifyError(parsed.error) } };
  change(parsed.data);
  return ok(parsed.data);
}

interface Exchange {
  readonly server: Server;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Sends an answer, or what a fault makes of it. */
function send({ server, request, response }: Exchange, answer: ChatAnswer | JsonAnswer): void {
  const fault = 'fault' in answer ? answer.fault : undefined;
  const body = Buffer.from(JSON.stringify(answer.json));
  const type = { 'content-type': 'application/json' };
  switch (fault?.kind) {
    case 'reset':
      request.socket.destroy();
      return;
    case 'down':
      void pauseListening(server, fault.forMs);
      return;
    case 'silence':
      return;
    case 'short-body':
      response.writeHead(answer.status, { ...type, 'content-length': body.length });
      response.write(body.subarray(0, fault.bytes), () => request.socket.destroy());
      return;
    case 'replace':
      response.writeHead(200, { 'content-type': fault.contentType }).end(fault.body);
      return;
    case 'status':
      response.writeHead(answer.status, { ...type, 'content-length': body.length, ...fault.headers }).end(body);
      return;
    case 'slow':
    case 'text':
    case 'chain':
    case undefined:
      response.writeHead(answer.status, { ...type, 'content-length': body.length }).end(body);
  }
}

async function pauseListening(server: Server, forMs: number): Promise<void> {
  const { port } = server.address() as AddressInfo;
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
  const timer = setTimeout(() => server.listen(port, '127.0.0.1'), forMs);
  // Closed for good in the meantime.
  server.once('simulated-end', () => clearTimeout(timer));
}

async function listen(server: Server, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function close(server: Server): Promise<void> {
  server.emit('simulated-end');
  if (!server.listening) return;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
