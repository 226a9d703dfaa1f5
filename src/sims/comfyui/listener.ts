import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

import { WebSocketServer, type WebSocket } from 'ws';

export interface ListenerHost {
  readonly request: (request: IncomingMessage, response: ServerResponse) => void;
  readonly socket: (socket: WebSocket, clientId: string | null) => void;
  /** `false` leaves a WebSocket request without answer. */
  readonly answers: () => boolean;
}

/** Listens on a port of the loopback address, for requests and for WebSockets; can be closed and opened again. */
export class Listener {
  readonly #host: ListenerHost;
  readonly #webSockets = new WebSocketServer({ noServer: true, autoPong: false });
  #server: Server | undefined;
  #port: number;

  constructor(port: number, host: ListenerHost) {
    this.#port = port;
    this.#host = host;
  }

  get address(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** At the same port as before. */
  async open(): Promise<void> {
    const server = createServer(this.#host.request);
    // Clients keep connections for long; the real server does too.
    server.keepAliveTimeout = 75_000;
    server.on('upgrade', (request, socket: Socket, head) => {
      this.#upgrade(request, socket, head);
    });
    server.listen(this.#port, '127.0.0.1');
    await once(server, 'listening');
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  /** Cuts all connections; nobody can connect until it is opened again. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    // A client that goes away in the middle is its own matter.
    socket.on('error', () => socket.destroy());
    const url = new URL(request.url ?? '/', 'http://simulated');
    if (!this.#host.answers()) return;
    if (url.pathname !== '/ws' && url.pathname !== '/api/ws') {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    } else if (isForeignOrigin(request)) {
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    } else {
      this.#webSockets.handleUpgrade(request, socket, head, (opened) => {
        this.#host.socket(opened, url.searchParams.get('clientId'));
      });
    }
  }
}

/** The origin guard: Host is loopback, and Origin is another one (contract comfyui 1). */
export function isForeignOrigin({ headers: { host, origin } }: IncomingMessage): boolean {
  if (host === undefined || origin === undefined) return false;
  if (!/^(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?$/.test(host)) return false;
  return URL.parse(origin)?.host !== host;
}
