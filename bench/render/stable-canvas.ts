import { writeFile } from 'node:fs/promises';

import { WebSocket } from 'ws';

import type { Side } from '../side.js';
import { loadClient } from './clients.js';
import { graphsOf, inLanes, targetOf } from './images.js';

/** What is used of `@stable-canvas/comfyui-client`. */
interface Sdk {
  readonly Client: new (options: object) => Client;
}
interface Client {
  connect(): Promise<unknown> | void;
  enqueue(graph: object, options: object): Promise<{ readonly images: readonly SdkImage[] }>;
  close(): void;
}
type SdkImage = { readonly type: 'url'; readonly data: string } | { readonly type: 'buff'; readonly data: ArrayBuffer };

/** As its documentation shows it; `lanes` above 1 lets so many calls run at a time. */
export function stableCanvas(lanes: number): Side {
  return {
    async prepare({ directory, address = '', images = 0 }) {
      const graphs = await graphsOf(`stable-canvas-${lanes}`, images);
      const { Client } = (await loadClient('@stable-canvas/comfyui-client', 'dist/main.modern.mjs')) as Sdk;
      const client = new Client({ api_host: new URL(address).host, WebSocket, fetch });
      await client.connect();
      return async () => {
        await inLanes(graphs, lanes, async (graph, index) => {
          const { images: found } = await client.enqueue(graph, { disable_random_seed: true });
          const [image] = found;
          if (image === undefined) throw new Error(`image ${index} was not delivered`);
          const bytes = image.type === 'url' ? await (await fetch(image.data)).arrayBuffer() : image.data;
          await writeFile(targetOf(directory, index), Buffer.from(bytes));
        });
        client.close();
      };
    },
  };
}
