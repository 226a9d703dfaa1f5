import { z } from 'zod';

import type { FinishedPrompt, NodeOutputs } from '../answers.js';

/** Why a prompt failed, as ComfyUI says. */
export interface ExecutionError {
  readonly nodeId: string;
  readonly nodeType: string;
  /** Python's name of the exception, with its module. */
  readonly exception: string;
  readonly message: string;
  readonly outOfMemory: boolean;
}

/** How a prompt ended, as its history or its messages say. */
export type PromptEnd =
  | {
      readonly kind: 'succeeded';
      readonly outputs: NodeOutputs;
      readonly cached: boolean;
      readonly renderMs: number | undefined;
      /** From the history or the jobs API, not only from the WebSocket. */
      readonly confirmed: boolean;
    }
  | { readonly kind: 'failed'; readonly error: ExecutionError }
  | { readonly kind: 'interrupted'; readonly nodeType: string };

const timedSchema = z.looseObject({ timestamp: z.number() });
const cachedSchema = z.looseObject({ nodes: z.array(z.string()) });
const nodeSchema = z.looseObject({ node_type: z.string().default('unknown') });
const errorSchema = z.looseObject({
  node_id: z.coerce.string().default(''),
  node_type: z.string().default('unknown'),
  exception_type: z.string().default('unknown'),
  exception_message: z.string().default(''),
});

/**
 * Reads a finished prompt of the history or of the jobs API (contracts/comfyui.md section 4). An interrupted prompt has the status
 * `error` like a failed one; only its messages tell.
 */
export function endOf({ outputs, status }: FinishedPrompt, nodeCount: number): PromptEnd {
  const messages = new Map(status?.messages.map(([event, data]) => [event, data]));
  if (status?.status_str === 'success') {
    const cachedNodes = cachedSchema.safeParse(messages.get('execution_cached')).data?.nodes.length ?? 0;
    const [from, to] = ['execution_start', 'execution_success'].map(
      (event) => timedSchema.safeParse(messages.get(event)).data?.timestamp,
    );
    const renderMs = from === undefined || to === undefined ? undefined : to - from;
    return { kind: 'succeeded', outputs, cached: cachedNodes >= nodeCount, renderMs, confirmed: true };
  }
  const interrupted = messages.get('execution_interrupted');
  if (interrupted !== undefined) {
    return { kind: 'interrupted', nodeType: nodeSchema.safeParse(interrupted).data?.node_type ?? 'unknown' };
  }
  const said = errorSchema.safeParse(messages.get('execution_error') ?? {}).data;
  const exception = said?.exception_type ?? 'unknown';
  return {
    kind: 'failed',
    error: {
      nodeId: said?.node_id ?? '',
      nodeType: said?.node_type ?? 'unknown',
      exception,
      message: said?.exception_message.trim() ?? '',
      outOfMemory: exception.endsWith('OutOfMemoryError'),
    },
  };
}
