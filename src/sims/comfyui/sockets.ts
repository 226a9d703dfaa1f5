import { randomUUID } from 'node:crypto';

import type { RawData, WebSocket } from 'ws';

import type { QueueItem } from './prompt-queue.js';

/** Binary frames (contract comfyui 6). */
const previewFrame = 1;
const previewWithMetadataFrame = 4;
const jpeg = 1;

export interface SocketHost {
  readonly remaining: () => number;
  /** The running prompt and its node. */
  readonly running: () => { readonly item: QueueItem; readonly node: string | null } | undefined;
  readonly features: () => Readonly<Record<string, unknown>>;
  /** Nothing is sent: sockets stay open. */
  readonly silent: () => boolean;
  /** Not even a ping is answered. */
  readonly dead: () => boolean;
}

/**
 * The clients of `/ws`. As in the real server they are found by their client id: a second socket with the same id takes
 * over, and when the first one closes, the second one is forgotten and gets nothing more.
 */
export class Sockets {
  readonly #byClient = new Map<string, WebSocket>();
  readonly #open = new Set<WebSocket>();
  readonly #withMetadata = new WeakSet<WebSocket>();
  readonly #host: SocketHost;

  constructor(host: SocketHost) {
    this.#host = host;
  }

  add(socket: WebSocket, clientId: string | null): void {
    const sid = clientId !== null && clientId !== '' ? clientId : randomUUID().replaceAll('-', '');
    this.#byClient.set(sid, socket);
    this.#open.add(socket);
    socket.on('ping', (data) => {
      if (!this.#host.dead()) socket.pong(data);
    });
    socket.on('close', () => {
      this.#open.delete(socket);
      this.#byClient.delete(sid);
    });
    socket.on('error', () => {
      socket.terminate();
    });
    socket.once('message', (data) => {
      this.#negotiate(socket, data);
    });
    this.#send(socket, 'status', { ...this.#status(), sid });
    const running = this.#host.running();
    if (running !== undefined && running.node !== null && clientOf(running.item) === sid) {
      this.#send(socket, 'executing', { node: running.node });
    }
  }

  /** Tells every client how many jobs are left. */
  queueChanged(): void {
    for (const socket of this.#byClient.values()) this.#send(socket, 'status', this.#status());
  }

  /** To the prompt's client; to all when it has none and `broadcast` is set. */
  sendFor(item: QueueItem, event: string, { data, broadcast }: { data: object; broadcast: boolean }): void {
    for (const socket of this.#receivers(item, broadcast)) this.#send(socket, event, data);
  }

  /** A preview frame, with metadata for clients that know it. */
  sendPreview(item: QueueItem, node: string, image: Buffer): void {
    if (this.#host.silent()) return;
    const ids = { node_id: node, prompt_id: item.id, display_node_id: node, parent_node_id: null, real_node_id: node };
    const metadata = Buffer.from(JSON.stringify({ ...ids, image_type: 'image/jpeg' }));
    for (const socket of this.#receivers(item, true)) {
      const known = this.#withMetadata.has(socket);
      const head = Buffer.alloc(8);
      head.writeUInt32BE(known ? previewWithMetadataFrame : previewFrame, 0);
      head.writeUInt32BE(known ? metadata.length : jpeg, 4);
      socket.send(Buffer.concat(known ? [head, metadata, image] : [head, image]));
    }
  }

  /** Cuts all connections without a goodbye. */
  terminate(): void {
    for (const socket of this.#open) socket.terminate();
  }

  #receivers(item: QueueItem, broadcast: boolean): WebSocket[] {
    const client = clientOf(item);
    if (client === undefined) return broadcast ? [...this.#byClient.values()] : [];
    const socket = this.#byClient.get(client);
    return socket === undefined ? [] : [socket];
  }

  #status(): { status: { exec_info: { queue_remaining: number } } } {
    return { status: { exec_info: { queue_remaining: this.#host.remaining() } } };
  }

  #send(socket: WebSocket, type: string, data: object): void {
    if (!this.#host.silent()) socket.send(JSON.stringify({ type, data }));
  }

  /** Only the first message of a client is looked at. */
  #negotiate(socket: WebSocket, data: RawData): void {
    let message: unknown;
    try {
      message = JSON.parse((data as Buffer).toString());
    } catch {
      return;
    }
    const { type, data: flags } = message as { type?: unknown; data?: Record<string, unknown> };
    if (type !== 'feature_flags') return;
    if (flags?.['supports_preview_metadata'] === true) this.#withMetadata.add(socket);
    this.#send(socket, 'feature_flags', this.#host.features());
  }
}

function clientOf({ extraData }: QueueItem): string | undefined {
  const client = extraData['client_id'];
  return typeof client === 'string' ? client : undefined;
}
