import { z } from 'zod';

/** A graph in API format (contract comfyui 2.1): node id → class and inputs. */
export const graphSchema = z.record(
  z.string(),
  z.looseObject({
    class_type: z.string().optional(),
    inputs: z.record(z.string(), z.unknown()).default({}),
    is_changed: z.unknown().optional(),
    _meta: z.looseObject({ title: z.string().optional() }).optional(),
  }),
);

export type Graph = z.output<typeof graphSchema>;

/** Any array is taken for a link, as the real server does; a constant list is wrapped in `__value__`. */
export function isLink(value: unknown): value is unknown[] {
  return Array.isArray(value);
}

/** Node id and output slot of a link of the right length. */
export function linkOf(value: unknown): readonly [node: string, slot: number] | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined;
  return [String(value[0]), Number(value[1])];
}

/** A constant without the `__value__` around a list. */
export function constantOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const keys = Object.keys(value);
  return keys.length === 1 && keys[0] === '__value__' ? (value as Record<string, unknown>)['__value__'] : value;
}

/** All nodes that a node needs, itself included; links that lead nowhere are left out. */
export function ancestorsOf(graph: Graph, node: string, found = new Set<string>()): Set<string> {
  const entry = graph[node];
  if (entry === undefined || found.has(node)) return found;
  found.add(node);
  for (const value of Object.values(entry.inputs)) {
    const link = linkOf(value);
    if (link !== undefined) ancestorsOf(graph, link[0], found);
  }
  return found;
}
