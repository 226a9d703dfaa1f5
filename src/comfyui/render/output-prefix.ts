import type { OutputFile } from '../answers.js';
import type { Graph, GraphNode } from '../graph.js';

/**
 * The graph for a further rendering: its save nodes get a prefix of their own, so that they run although all else is cached
 * (contracts/comfyui.md section 8), and so that the file is told from that of the rendering before.
 */
export function graphOfAttempt(graph: Graph, attempt: number): Graph {
  if (attempt === 1) return graph;
  return Object.fromEntries(
    Object.entries(graph).map(([id, node]) => {
      const prefix = prefixOf(node);
      if (prefix === undefined) return [id, node];
      return [id, { ...node, inputs: { ...node.inputs, filename_prefix: `${prefix}-${attempt}` } }];
    }),
  );
}

export function hasPrefix(graph: Graph): boolean {
  return Object.values(graph).some((node) => prefixOf(node) !== undefined);
}

/**
 * The first file that the graph's save node writes under its prefix (contracts/comfyui.md section 9); `undefined` where that cannot be told.
 */
export function firstOutputOf(graph: Graph): OutputFile | undefined {
  const saver = Object.values(graph).find(({ class_type: type }) => type === 'SaveImage');
  const prefix = saver === undefined ? undefined : prefixOf(saver);
  if (prefix === undefined || prefix.includes('%')) return undefined;
  const split = prefix.lastIndexOf('/');
  return {
    filename: `${prefix.slice(split + 1)}_00001_.png`,
    subfolder: split < 0 ? '' : prefix.slice(0, split),
    type: 'output',
  };
}

function prefixOf({ inputs }: GraphNode): string | undefined {
  const prefix = inputs['filename_prefix'];
  return typeof prefix === 'string' ? prefix : undefined;
}
