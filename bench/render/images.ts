import { join } from 'node:path';

import { fillGraph, loadGraph } from '../../src/comfyui/graph-template.js';
import type { Graph } from '../../src/comfyui/graph.js';

/** Where the default graph saves its image. */
export const saveNode = '7';

/** A side's own graphs, as many as it renders: of the size of the default job, each with another seed. */
export async function graphsOf(side: string, images: number): Promise<Graph[]> {
  const template = await loadGraph('default');
  return Array.from({ length: images }, (_, index) =>
    fillGraph(template, {
      ...{ prompt: `a knight, ${side}`, negative: 'blurry', seed: index + 1, width: 768, height: 768 },
      ...{ checkpoint: 'dreamshaper_8.safetensors', prefix: `${side}/${index}`, steps: 28, cfg: 7.5 },
      ...{ sampler: 'dpmpp_2m', scheduler: 'karras' },
    }),
  );
}

export function targetOf(directory: string, index: number): string {
  return join(directory, `${index}.png`);
}

/** Works through a list with so many at a time, each as soon as there is room. */
export async function inLanes<Item>(
  items: readonly Item[],
  lanes: number,
  work: (item: Item, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) await work(item, index);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
