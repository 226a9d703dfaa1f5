interface NodeState {
  value: number;
  max: number;
  state: 'running' | 'finished';
}

/** `progress_state` (contract comfyui 6): all nodes of a prompt that have started, with each change of one; none is sent for a failure. */
export class ProgressReport {
  readonly #promptId: string;
  readonly #send: (data: object) => void;
  readonly #nodes = new Map<string, NodeState>();

  constructor(promptId: string, send: (data: object) => void) {
    this.#promptId = promptId;
    this.#send = send;
  }

  start(node: string): void {
    this.#set(node, { value: 0, max: 1, state: 'running' });
  }

  step(node: string, { value, max }: { readonly value: number; readonly max: number }): void {
    this.#set(node, { value, max, state: 'running' });
  }

  finish(node: string): void {
    const max = this.#nodes.get(node)?.max ?? 1;
    this.#set(node, { value: max, max, state: 'finished' });
  }

  #set(changed: string, state: NodeState): void {
    this.#nodes.set(changed, state);
    const nodes = [...this.#nodes].map(([node, found]) => {
      const ids = { node_id: node, prompt_id: this.#promptId, display_node_id: node };
      return [node, { ...found, ...ids, parent_node_id: null, real_node_id: node }];
    });
    this.#send({ prompt_id: this.#promptId, nodes: Object.fromEntries(nodes) as Record<string, unknown> });
  }
}
