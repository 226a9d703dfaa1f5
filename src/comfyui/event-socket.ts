import { randomUUID } from 'node:crypto';

import { WebSocket } from 'ws';

import type { Log } from '../log/logger.js';
import { parseEvent, type ComfyuiEvent } from './events.js';

export interface EventSocketOptions {
  readonly baseUrl: string;
  readonly log: Log;
  readonly onEvent: (event: ComfyuiEvent) => void;
  /** Called when an open connection has ended, for whatever reason; a new one is on its way. */
  readonly onDown: () => void;
}

const pingEveryMs = 5_000;
/** ComfyUI's event loop may stand still for seconds while a model is loaded. */
const pongLimitMs = 20_000;
const handshakeLimitMs = 5_000;
const firstRetryMs = 100;
const lastRetryMs = 500;
/** Previews and custom outputs may be large. */
const messageLimitBytes = 64 * 1024 ** 2;

/**
 * The WebSocket of a ComfyUI, opened again and again until it is closed (contracts/comfyui.md section 6).
 *
 * Every connection has a client id of its own: with one and the same id, the server forgets the new connection when the
 * old one ends. So prompts that were submitted under an earlier id are not reported here; they have to be polled.
 */
export class EventSocket {
  readonly #options: EventSocketOptions;
  readonly #url: string;
  #socket: WebSocket | undefined;
  #clientId: string | undefined;
  #retryMs = firstRetryMs;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
  #waiting: (() => void)[] = [];

  constructor(options: EventSocketOptions) {
    this.#options = options;
    this.#url = `${options.baseUrl.replace(/^http/, 'ws')}/ws`;
    this.#connect();
  }

  /** Client id of the open connection; `undefined` while there is none. */
  get clientId(): string | undefined {
    return this.#clientId;
  }

  /** Returns once it is open, or when the time has passed. */
  async opened(limitMs: number): Promise<void> {
    if (this.#clientId !== undefined || this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Gives the present connection up and opens another, under another client id. */
  renew(): void {
    this.#socket?.terminate();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#socket?.terminate();
    this.#wake();
  }

  #connect(): void {
    const clientId = randomUUID();
    const socket = new WebSocket(`${this.#url}?clientId=${clientId}`, {
      handshakeTimeout: handshakeLimitMs,
      perMessageDeflate: false,
      maxPayload: messageLimitBytes,
    });
    this.#socket = socket;
    let heardAt = performance.now();
    const heard = () => {
      heardAt = performance.now();
    };
    const pings = setInterval(() => {
      if (performance.now() - heardAt > pongLimitMs) socket.terminate();
      else if (socket.readyState === WebSocket.OPEN) socket.ping();
    }, pingEveryMs);

    socket.on('open', () => {
      this.#clientId = clientId;
      this.#retryMs = firstRetryMs;
      this.#wake();
    });
    socket.on('pong', heard);
    socket.on('message', (data, isBinary) => {
      heard();
      // Binary frames are previews.
      const event = isBinary ? undefined : parseEvent((data as Buffer).toString('utf8'));
      if (event !== undefined) this.#options.onEvent(event);
    });
    // `close` follows every error.
    socket.on('error', (error) => this.#options.log.debug({ error: error.message }, "ComfyUI's WebSocket failed"));
    socket.on('close', () => {
      clearInterval(pings);
      const wasOpen = this.#clientId !== undefined;
      this.#clientId = undefined;
      if (this.#closed) return;
      if (wasOpen) this.#options.onDown();
      this.#retry = setTimeout(() => this.#connect(), this.#retryMs);
      this.#retryMs = Math.min(this.#retryMs * 2, lastRetryMs);
    });
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
