import { z } from 'zod';

import { nodeOutputSchema } from './answers.js';
import { parsePythonJson } from './python-json.js';

const promptId = z.string();

/** The messages of `/ws` (contracts/comfyui.md section 6) that Tower reads; everything else is passed over. */
const eventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('status'),
    data: z.object({ status: z.object({ exec_info: z.object({ queue_remaining: z.number() }) }) }),
  }),
  z.object({ type: z.literal('execution_start'), data: z.object({ prompt_id: promptId }) }),
  z.object({
    type: z.literal('execution_cached'),
    data: z.object({ prompt_id: promptId, nodes: z.array(z.string()).default([]) }),
  }),
  /** `node` null: the prompt has ended, well or not, and is in the history. */
  z.object({
    type: z.literal('executing'),
    data: z.object({ prompt_id: promptId.optional(), node: z.string().nullable() }),
  }),
  z.object({
    type: z.literal('executed'),
    data: z.object({ prompt_id: promptId, node: z.string(), output: nodeOutputSchema.nullish() }),
  }),
  z.object({
    type: z.literal('progress'),
    data: z.object({
      prompt_id: promptId.nullish(),
      node: z.string().nullish(),
      value: z.number(),
      max: z.number(),
    }),
  }),
  z.object({ type: z.literal('progress_state'), data: z.object({ prompt_id: promptId }) }),
  z.object({ type: z.literal('execution_success'), data: z.object({ prompt_id: promptId }) }),
  z.object({ type: z.literal('execution_error'), data: z.object({ prompt_id: promptId }) }),
  z.object({ type: z.literal('execution_interrupted'), data: z.object({ prompt_id: promptId }) }),
]);

export type ComfyuiEvent = z.output<typeof eventSchema>;

/** A text message as an event; `undefined` for one of another kind, or that is damaged. */
export function parseEvent(text: string): ComfyuiEvent | undefined {
  try {
    return eventSchema.safeParse(parsePythonJson(text)).data;
  } catch {
    return undefined;
  }
}
