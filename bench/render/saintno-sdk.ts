import { writeFile } from 'node:fs/promises';

import type { Side } from '../side.js';
import { loadClient } from './clients.js';
import { graphsOf, inLanes, saveNode, targetOf } from './images.js';

/** What is used of `@saintno/comfyui-sdk`. */
interface Sdk {
  readonly ComfyApi: new (address: string) => Api;
  readonly PromptBuilder: new (graph: object, inputs: string[], outputs: string[]) => Builder;
  readonly CallWrapper: new (api: Api, builder: Builder) => { run(): Promise<Outputs | undefined | false> };
}
interface Api {
  init(): Api;
  waitForReady(): Promise<Api>;
  getImage(file: unknown): Promise<Blob>;
  destroy(): void;
}
interface Builder {
  setOutputNode(output: string, node: string): Builder;
}
interface Outputs {
  readonly images?: { readonly images?: readonly unknown[] };
}

/** As its documentation shows it; `lanes` above 1 lets so many calls run at a time. */
export function saintnoSdk(lanes: number): Side {
  return {
    async prepare({ directory, address = '', images = 0 }) {
      const graphs = await graphsOf(`saintno-${lanes}`, images);
      const { ComfyApi, PromptBuilder, CallWrapper } = (await loadClient(
        '@saintno/comfyui-sdk',
        'build/index.esm.js',
      )) as Sdk;
      const api = await new ComfyApi(address).init().waitForReady();
      return async () => {
        await inLanes(graphs, lanes, async (graph, index) => {
          const builder = new PromptBuilder(graph, [], ['images']).setOutputNode('images', saveNode);
          const result = await new CallWrapper(api, builder).run();
          const file = result === false ? undefined : result?.images?.images?.[0];
          if (file === undefined) throw new Error(`image ${index} was not delivered: ${JSON.stringify(result)}`);
          const image = await api.getImage(file);
          await writeFile(targetOf(directory, index), Buffer.from(await image.arrayBuffer()));
        });
        api.destroy();
      };
    },
  };
}
