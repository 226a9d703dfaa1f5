import { pino } from 'pino';

import { createComfyuiClient } from '../../src/comfyui/client.js';
import { renderImages } from '../../src/comfyui/render/render-images.js';
import type { Side } from '../side.js';
import { graphsOf, targetOf } from './images.js';

export const towerRender: Side = {
  async prepare({ directory, address = '', images = 0 }) {
    const graphs = await graphsOf('tower', images);
    const log = pino({ level: 'warn' }, process.stderr);
    const client = createComfyuiClient({ baseUrl: address, log });
    return async () => {
      const { signal } = new AbortController();
      const { delivered } = await renderImages(
        {
          client,
          runKey: 'bench',
          images: graphs.map((graph, index) => ({ key: String(index), graph, target: targetOf(directory, index) })),
          onImage: () => Promise.resolve('accepted'),
        },
        { signal, log },
      );
      if (delivered !== images) throw new Error(`expected ${images} images, found ${delivered}`);
    };
  },
};
