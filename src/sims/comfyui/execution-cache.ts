import { randomUUID } from 'node:crypto';

import { sha256Of } from '../../files/sha256.js';
import { constantOf, linkOf, type Graph } from './graph.js';
import { nodeClasses } from './node-classes.js';
import { NodeInputs, type ListedFolders, type NodeValue } from './node-class.js';
import type { NodeOutput } from './prompt-queue.js';

export interface CachedNode {
  readonly values: readonly NodeValue[];
  readonly output: NodeOutput | undefined;
}

/** Results by what decides them: class, constants and all ancestors, not the node's id (contract comfyui 8). */
export type ExecutionCache = Map<string, CachedNode>;

/** The key of every node of a graph in the cache. As the real server does, it writes into a node what may change beside its inputs. */
export function nodeSignatures(graph: Graph, folders: ListedFolders): ReadonlyMap<string, string> {
  const signatures = new Map<string, string>();
  const signatureOf = (node: string): string => {
    const known = signatures.get(node);
    if (known !== undefined) return known;
    const entry = graph[node];
    const declared = nodeClasses.get(entry?.class_type ?? '');
    const inputs: [string, unknown][] = [];
    for (const name of Object.keys({ ...declared?.required, ...declared?.optional }).sort()) {
      const value = entry?.inputs[name];
      const link = linkOf(value);
      inputs.push([name, link === undefined ? constantOf(value) : [signatureOf(link[0]), link[1]]]);
    }
    let changed: unknown;
    if (entry !== undefined && declared?.changed !== undefined) {
      try {
        changed = declared.changed(new NodeInputs(new Map(inputs)), folders);
        entry.is_changed = [changed];
      } catch {
        // NaN equals nothing: the node runs anew each time.
        changed = randomUUID();
        entry.is_changed = Number.NaN;
      }
    }
    const signature = sha256Of(JSON.stringify([entry?.class_type, inputs, changed]));
    signatures.set(node, signature);
    return signature;
  };
  for (const node of Object.keys(graph)) {
    // A node that cannot run has no key that is ever stored.
    if (isComplete(graph, node)) signatureOf(node);
  }
  return signatures;
}

function isComplete(graph: Graph, node: string, path: ReadonlySet<string> = new Set()): boolean {
  const entry = graph[node];
  if (entry === undefined || path.has(node)) return false;
  const next = new Set(path).add(node);
  return Object.values(entry.inputs).every((value) => {
    const link = linkOf(value);
    return link === undefined || isComplete(graph, link[0], next);
  });
}
