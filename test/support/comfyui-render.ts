import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { pino } from 'pino';

import { createComfyuiClient, type ComfyuiClient } from '../../src/comfyui/client.js';
import { fillGraph, loadGraph, type GraphValues } from '../../src/comfyui/graph-template.js';
import type { Graph } from '../../src/comfyui/graph.js';
import { renderImages } from '../../src/comfyui/render/render-images.js';
import type {
  Recovery,
  RenderedImage,
  RenderImage,
  RenderRequest,
  RenderSummary,
} from '../../src/comfyui/render/types.js';
import { startComfyuiServer, type ComfyuiServer, type ComfyuiServerOptions } from '../../src/sims/comfyui/server.js';

const quiet = pino({ level: process.env['TOWER_TEST_LOG'] ?? 'silent' });

/** A graph of the default template for one small image. */
export async function graphFor(key: string, change: GraphValues = {}): Promise<Graph> {
  return fillGraph(await loadGraph('default'), {
    prompt: `1girl, number ${key}`,
    negative: 'low quality',
    seed: 1,
    width: 64,
    height: 64,
    checkpoint: 'dreamshaper_8.safetensors',
    prefix: `run/${key}`,
    steps: 4,
    cfg: 7.5,
    sampler: 'dpmpp_2m',
    scheduler: 'karras',
    ...change,
  });
}

export interface BatchResult {
  readonly summary: RenderSummary;
  /** In the order of their delivery. */
  readonly images: readonly RenderedImage[];
  readonly recoveries: readonly Recovery[];
}

/** A simulated ComfyUI with a folder of its own, and batches rendered by it. */
export class RenderBench {
  readonly directory: string;
  readonly server: ComfyuiServer;
  readonly client: ComfyuiClient;

  private constructor(directory: string, server: ComfyuiServer) {
    this.directory = directory;
    this.server = server;
    this.client = createComfyuiClient({ baseUrl: server.address, log: quiet, timeouts: { requestMs: 5_000 } });
  }

  static async start(options: Omit<ComfyuiServerOptions, 'directory'> = {}): Promise<RenderBench> {
    const directory = await mkdtemp(join(tmpdir(), 'tower-comfyui-'));
    return new RenderBench(directory, await startComfyuiServer({ directory: join(directory, 'comfyui'), ...options }));
  }

  async close(): Promise<void> {
    await this.server.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** A client that waits for an answer for a short time only. */
  impatientClient(): ComfyuiClient {
    const [baseUrl, requestMs] = [this.server.address, 300];
    const timeouts = { requestMs, submitMs: requestMs, downloadMs: requestMs };
    return createComfyuiClient({ baseUrl, log: quiet, timeouts });
  }

  async image(key: string, graph?: Graph): Promise<RenderImage> {
    return { key, graph: graph ?? (await graphFor(key)), target: join(this.directory, 'images', `${key}.png`) };
  }

  async images(count: number, prefix = 'image'): Promise<RenderImage[]> {
    return Promise.all(Array.from({ length: count }, (_, index) => this.image(`${prefix}-${index + 1}`)));
  }

  async render(
    images: RenderRequest['images'],
    more: Partial<Omit<RenderRequest, 'images'>> & { readonly signal?: AbortSignal } = {},
  ): Promise<BatchResult> {
    const { signal = new AbortController().signal, limits, onImage, onRecovery, ...request } = more;
    const delivered: RenderedImage[] = [];
    const recoveries: Recovery[] = [];
    const summary = await renderImages(
      {
        client: this.client,
        runKey: 'run-1',
        images,
        onRecovery: (recovery) => {
          recoveries.push(recovery);
          onRecovery?.(recovery);
        },
        ...request,
        limits: { silenceMs: 500, pollMs: 50, ...limits },
        onImage: async (image) => {
          const verdict = (await onImage?.(image)) ?? 'accepted';
          if (verdict === 'accepted') delivered.push(image);
          return verdict;
        },
      },
      { signal, log: quiet },
    );
    return { summary, images: delivered, recoveries };
  }
}
