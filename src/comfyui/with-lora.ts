import { TowerError } from '../errors.js';
import { isLink, type Graph } from './graph.js';

export interface LoraChoice {
  /** As ComfyUI lists it in `/models/loras`. */
  readonly loraName: string;
  /** For the model and for the text encoder; 1 is what the LoRA was trained for. */
  readonly strength: number;
}

/** Slots of a loader whose model, and whose text encoder if it has one, go through the LoRA. */
interface Loader {
  readonly model: number;
  readonly clip?: number;
}

const loaders: Readonly<Record<string, Loader | undefined>> = {
  CheckpointLoaderSimple: { model: 0, clip: 1 },
  CheckpointLoader: { model: 0, clip: 1 },
  unCLIPCheckpointLoader: { model: 0, clip: 1 },
  UNETLoader: { model: 0 },
};

/**
 * The graph with a LoRA between its checkpoint loader and everything that uses it (contracts/comfyui.md section 7.4).
 * A loader without text encoder (`UNETLoader`, FLUX) gets the model-only form.
 *
 * @throws TowerError `GRAPH_WITHOUT_LOADER` unless there is exactly one loader that Tower knows.
 */
export function withLora(graph: Graph, { loraName, strength }: LoraChoice): Graph {
  const found = Object.entries(graph).flatMap(([id, { class_type: type }]) => {
    const loader = Object.hasOwn(loaders, type) ? loaders[type] : undefined;
    return loader === undefined ? [] : [{ id, loader }];
  });
  const [only, ...others] = found;
  if (only === undefined || others.length > 0) {
    throw new TowerError(
      'GRAPH_WITHOUT_LOADER',
      `A LoRA goes behind the one checkpoint loader of a graph; this one has ${found.length} loaders`,
      { next: `Use a graph with one of ${Object.keys(loaders).join(', ')}.` },
    );
  }
  const { id: loaderId, loader } = only;
  const loraId = freeId(graph);
  const rerouted = (value: unknown): unknown => {
    if (!isLink(value) || value[0] !== loaderId) return value;
    if (value[1] === loader.model) return [loraId, 0];
    return value[1] === loader.clip ? [loraId, 1] : value;
  };
  const nodes = Object.entries(graph).map(([id, node]) => {
    const inputs = Object.entries(node.inputs).map(([name, value]) => [name, rerouted(value)]);
    return [id, { ...node, inputs: Object.fromEntries(inputs) as Record<string, unknown> }] as const;
  });
  const model = { model: [loaderId, loader.model], lora_name: loraName, strength_model: strength };
  const lora =
    loader.clip === undefined
      ? { class_type: 'LoraLoaderModelOnly', inputs: model }
      : { class_type: 'LoraLoader', inputs: { ...model, clip: [loaderId, loader.clip], strength_clip: strength } };
  return { ...Object.fromEntries(nodes), [loraId]: lora };
}

function freeId(graph: Graph): string {
  for (let number = Object.keys(graph).length + 1; ; number++) {
    if (!(String(number) in graph)) return String(number);
  }
}
