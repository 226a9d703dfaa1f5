import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import axios, { type AxiosResponse } from 'axios';
import { WebSocket } from 'ws';

import { startComfyuiServer, type ComfyuiServer, type ComfyuiServerOptions } from '../../src/sims/comfyui/server.js';
import { waitUntil } from './wait-until.js';

export interface TextToImage {
  readonly seed?: number;
  readonly prompt?: string;
  readonly prefix?: string;
  readonly width?: number;
  readonly height?: number;
  readonly steps?: number;
  readonly checkpoint?: string;
  readonly lora?: { readonly name: string; readonly model: number; readonly clip?: number };
}

interface Node {
  class_type: string;
  inputs: Record<string, unknown>;
}

/** The graph of the original pipeline, small. */
export function textToImage(options: TextToImage = {}): Record<string, Node> {
  const { seed = 1, prompt = 'a knight', prefix = 'test/image', width = 64, height = 64, lora } = options;
  const { steps = 2, checkpoint = 'dreamshaper_8.safetensors' } = options;
  const [model, clip] =
    lora === undefined
      ? [
          ['1', 0],
          ['1', 1],
        ]
      : [
          ['8', 0],
          ['8', 1],
        ];
  return {
    '1': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: checkpoint } },
    '2': { class_type: 'CLIPTextEncode', inputs: { text: prompt, clip } },
    '3': { class_type: 'CLIPTextEncode', inputs: { text: 'blurry', clip } },
    '4': { class_type: 'EmptyLatentImage', inputs: { width, height, batch_size: 1 } },
    '5': {
      class_type: 'KSampler',
      inputs: {
        ...{ seed, steps, cfg: 7.5, sampler_name: 'dpmpp_2m', scheduler: 'karras', denoise: 1 },
        ...{ model, positive: ['2', 0], negative: ['3', 0], latent_image: ['4', 0] },
      },
    },
    '6': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['1', 2] } },
    '7': { class_type: 'SaveImage', inputs: { images: ['6', 0], filename_prefix: prefix } },
    ...(lora !== undefined && {
      '8': {
        class_type: 'LoraLoader',
        inputs: {
          ...{ model: ['1', 0], clip: ['1', 1], lora_name: lora.name },
          ...{ strength_model: lora.model, strength_clip: lora.clip ?? 0 },
        },
      },
    }),
  };
}

/** Entry of `/history/<id>`, as far as tests look at it. */
export interface HistoryEntry {
  readonly outputs: Record<string, { images: { filename: string; subfolder: string; type: string }[] }>;
  readonly status: { status_str: string; completed: boolean; messages: [string, Record<string, unknown>][] };
}

/** A simulated ComfyUI in a folder of its own, spoken to as any client would. */
export class ComfyuiWorld {
  readonly directory: string;
  readonly server: ComfyuiServer;
  readonly #sockets: WebSocket[] = [];

  private constructor(directory: string, server: ComfyuiServer) {
    this.directory = directory;
    this.server = server;
  }

  static async create(options: Partial<ComfyuiServerOptions> = {}): Promise<ComfyuiWorld> {
    const directory = await mkdtemp(join(tmpdir(), 'tower-'));
    return new ComfyuiWorld(directory, await startComfyuiServer({ directory, ...options }));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.terminate();
    await this.server.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  async get(path: string): Promise<AxiosResponse<never>> {
    return axios.get<never>(`${this.server.address}${path}`, { proxy: false, validateStatus: null });
  }

  async post(path: string, body?: unknown): Promise<AxiosResponse<never>> {
    return axios.post<never>(`${this.server.address}${path}`, body, { proxy: false, validateStatus: null });
  }

  /** @returns the id of the prompt */
  async submit(graph: object, more: object = {}): Promise<string> {
    const { status, data } = await this.post('/prompt', { prompt: graph, ...more });
    if (status !== 200) throw new Error(`POST /prompt answered ${status}: ${JSON.stringify(data)}`);
    return (data as { prompt_id: string }).prompt_id;
  }

  async history(id: string): Promise<HistoryEntry | undefined> {
    return ((await this.get(`/history/${id}`)).data as Record<string, HistoryEntry>)[id];
  }

  async ended(id: string): Promise<HistoryEntry> {
    return waitUntil(`the end of prompt ${id}`, () => this.history(id));
  }

  /** Waits until a prompt runs. */
  async oneRuns(): Promise<void> {
    await waitUntil('a running prompt', async () => {
      const { queue_running: running } = (await this.get('/queue')).data as { queue_running: unknown[] };
      return running.length === 1;
    });
  }

  /** Submits a graph and waits for its end. */
  async run(graph: object, more: object = {}): Promise<HistoryEntry> {
    return this.ended(await this.submit(graph, more));
  }

  /** The bytes of the first image that a finished prompt names. */
  async image(entry: HistoryEntry): Promise<Buffer> {
    const [image] = Object.values(entry.outputs).flatMap(({ images }) => images);
    const { data, status } = await axios.get<ArrayBuffer>(`${this.server.address}/view`, {
      params: image,
      responseType: 'arraybuffer',
      proxy: false,
      validateStatus: null,
    });
    if (status !== 200) throw new Error(`GET /view answered ${status}`);
    return Buffer.from(data);
  }

  /** A socket that keeps what comes. */
  async socket(clientId?: string): Promise<RecordedSocket> {
    const query = clientId === undefined ? '' : `?clientId=${clientId}`;
    const socket = new WebSocket(`${this.server.address.replace('http', 'ws')}/ws${query}`);
    this.#sockets.push(socket);
    const recorded = new RecordedSocket(socket);
    await waitUntil('the first message', () => recorded.messages.length > 0);
    return recorded;
  }
}

interface SocketMessage {
  readonly type: string;
  readonly data: Record<string, unknown>;
}

export class RecordedSocket {
  readonly messages: SocketMessage[] = [];
  readonly frames: Buffer[] = [];
  closed = false;
  readonly socket: WebSocket;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) this.frames.push(data);
      else this.messages.push(JSON.parse(data.toString()) as SocketMessage);
    });
    socket.on('close', () => (this.closed = true));
    socket.on('error', () => (this.closed = true));
  }

  /** Types in their order; those of steps left out. */
  get types(): string[] {
    return this.messages.map(({ type }) => type).filter((type) => !type.startsWith('progress'));
  }

  async until(type: string, count = 1): Promise<SocketMessage> {
    return waitUntil(
      `${count} × ${type}`,
      () => this.messages.filter((message) => message.type === type)[count - 1],
      20_000,
    );
  }
}

/** A LoRA file with one pair of weights, each byte of the upper one as given; 0 makes one that changes nothing. */
export async function writeLora(path: string, weight: number, metadata: Record<string, string> = {}): Promise<void> {
  const header = Buffer.from(
    JSON.stringify({
      __metadata__: metadata,
      'lora_unet_x.lora_down.weight': { dtype: 'F16', shape: [4], data_offsets: [0, 8] },
      'lora_unet_x.lora_up.weight': { dtype: 'F16', shape: [4], data_offsets: [8, 16] },
    }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  await writeFile(path, Buffer.concat([length, header, Buffer.alloc(8, 1), Buffer.alloc(8, weight)]));
}
