import { constantOf, linkOf } from './graph.js';
import { InterruptedError, NodeInputs, type NodeError, type NodeValue } from './node-class.js';

interface FailedNode {
  readonly node: string;
  readonly type: string;
  readonly inputs: Readonly<Record<string, unknown[]>>;
}

/** A prompt ended at one of its nodes. */
export class ExecutionFailure extends Error {
  readonly #failed: FailedNode;
  readonly #reason: NodeError | InterruptedError;

  constructor(failed: FailedNode, reason: NodeError | InterruptedError) {
    super(reason.message);
    this.#failed = failed;
    this.#reason = reason;
  }

  get interrupted(): boolean {
    return this.#reason instanceof InterruptedError;
  }

  get outOfMemory(): boolean {
    return 'exceptionType' in this.#reason && this.#reason.exceptionType.endsWith('OutOfMemoryError');
  }

  /** Data of `execution_error` or `execution_interrupted` (contract comfyui 4). */
  data(executed: readonly string[], nodes: readonly string[]): Record<string, unknown> {
    const { node, type, inputs } = this.#failed;
    const about = { node_id: node, node_type: type, executed };
    if (!('exceptionType' in this.#reason)) return about;
    const hint = this.outOfMemory ? 'The GPU has too little memory for this prompt. (simulated)' : '';
    return {
      ...about,
      exception_message: `${this.#reason.message}\n${hint}`,
      exception_type: this.#reason.exceptionType,
      traceback: ['  (simulated)\n'],
      current_inputs: inputs,
      current_outputs: nodes,
    };
  }
}

/** The inputs of a node: constants, and what its links brought. */
export function inputsOf(
  given: Readonly<Record<string, unknown>>,
  linked: ReadonlyMap<string, NodeValue | undefined>,
): NodeInputs {
  const constants = Object.entries(given).filter(([name]) => !linked.has(name));
  return new NodeInputs(new Map([...constants.map(([name, value]) => [name, constantOf(value)] as const), ...linked]));
}

/** `current_inputs`: each as a list of shortened values. */
export function shownInputs(
  given: Readonly<Record<string, unknown>>,
  linked: ReadonlyMap<string, NodeValue | undefined>,
): Record<string, unknown[]> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [
      name,
      linkOf(value) === undefined ? [constantOf(value)] : [`<${linked.get(name)?.type ?? 'None'}>`],
    ]),
  );
}
