import { z } from 'zod';

/** Output `slot` of another node, as an input value. */
export type NodeLink = readonly [nodeId: string, slot: number];

export interface GraphNode {
  readonly class_type: string;
  /** A two-element array `[node id, slot]` is a link; everything else is a constant. */
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly _meta?: { readonly title?: string | undefined } | undefined;
}

/** A ComfyUI graph in API format (contracts/comfyui.md section 2.1): node id → node. */
export type Graph = Readonly<Record<string, GraphNode>>;

export const graphSchema = z.record(
  z.string().min(1),
  z.looseObject({
    class_type: z.string().min(1),
    inputs: z.record(z.string(), z.unknown()),
    _meta: z.looseObject({ title: z.string().optional() }).optional(),
  }),
);

export function isLink(value: unknown): value is NodeLink {
  return Array.isArray(value) && value.length === 2 && typeof value[0] === 'string' && typeof value[1] === 'number';
}

/** Node id, class and title, for messages: `5 (KSampler, "main sampler")`. */
export function nodeName(id: string, node: GraphNode | undefined): string {
  if (node === undefined) return id;
  const title = node._meta?.title;
  return `${id} (${node.class_type}${title === undefined || title === node.class_type ? '' : `, "${title}"`})`;
}
