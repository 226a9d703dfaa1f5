import { randomUUID } from 'node:crypto';
import { text as textOf } from 'node:stream/consumers';

import { z } from 'zod';

import { json, nothing, type Answer } from './answers.js';
import { graphSchema } from './graph.js';
import { queueTuple, type HistoryEntry, type QueueItem } from './prompt-queue.js';
import type { Route, RouteContext } from './route.js';
import { validateGraph } from './validate.js';

/** What Python's `float` makes of it: `nan`, too. */
const pythonFloat = z.preprocess(
  (value) => (typeof value === 'string' && /^\s*[+-]?nan\s*$/i.test(value) ? Number.NaN : value),
  z.union([z.nan(), z.coerce.number()]),
);

const submitSchema = z.looseObject({
  prompt: graphSchema.optional(),
  prompt_id: z.unknown().optional(),
  client_id: z.string().optional(),
  extra_data: z.record(z.string(), z.unknown()).default({}),
  number: pythonFloat.optional(),
  front: z.boolean().default(false),
  partial_execution_targets: z.array(z.string()).nullish(),
});
const editSchema = z.looseObject({ clear: z.boolean().default(false), delete: z.array(z.string()).default([]) });
const canonicalId = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/** Submit, queue, control and history (contract comfyui 2 to 4). A body of the wrong form is an exception: 500. */
export const promptRoutes: readonly Route[] = [
  { method: 'POST', pattern: '/prompt', handle: submit },
  {
    method: 'GET',
    pattern: '/prompt',
    handle: ({ server }) => json({ exec_info: { queue_remaining: server.instance().queue.remaining } }),
  },
  { method: 'GET', pattern: '/queue', handle: showQueue },
  { method: 'POST', pattern: '/queue', handle: editQueue },
  { method: 'POST', pattern: '/interrupt', handle: interrupt },
  { method: 'POST', pattern: '/free', handle: free },
  { method: 'GET', pattern: '/history', handle: showHistory },
  { method: 'GET', pattern: '/history/{prompt_id}', handle: showEntry },
  { method: 'POST', pattern: '/history', handle: editHistory },
];

async function submit({ request, server }: RouteContext): Promise<Answer> {
  const given = submitSchema.parse(await jsonBody(request));
  const instance = server.instance();
  const number = given.number ?? (given.front ? -instance.counter : instance.counter);
  if (given.number === undefined) instance.counter += 1;
  if (given.prompt === undefined) {
    return refusal({ type: 'no_prompt', message: 'No prompt provided', details: 'No prompt provided', extra_info: {} });
  }
  const id = promptIdOf(given, server.dialect.canonicalPromptIds);
  if (id === undefined) {
    const details = 'prompt_id must be a lower-case hyphenated UUID';
    return refusal({ type: 'invalid_prompt_id', message: 'Invalid prompt id', details, extra_info: {} });
  }
  const targets = given.partial_execution_targets ?? undefined;
  const judged = validateGraph(given.prompt, { folders: server, dialect: server.dialect, targets });
  if (!judged.ok) return json({ error: judged.error, node_errors: judged.nodeErrors }, 400);
  const extraData = {
    ...given.extra_data,
    ...(given.client_id !== undefined && { client_id: given.client_id }),
    ...(server.dialect.createTime && { create_time: Date.now() }),
  };
  const fault = server.faults.ofPrompt(id, JSON.stringify(given.prompt));
  instance.submit({ number, id, graph: given.prompt, extraData, outputs: judged.outputs, fault });
  return { ...json({ prompt_id: id, number, node_errors: judged.nodeErrors }), promptId: id };
}

function refusal(error: object): Answer {
  return json({ error, node_errors: {} }, 400);
}

/** A and B take any value as text, also `null`; N makes an id where there is none and wants a canonical one. */
function promptIdOf(given: Record<string, unknown>, canonical: boolean): string | undefined {
  const { prompt_id: chosen } = given;
  if (!('prompt_id' in given)) return randomUUID();
  if (!canonical) return chosen === null ? 'None' : typeof chosen === 'string' ? chosen : JSON.stringify(chosen);
  if (chosen === null) return randomUUID();
  return typeof chosen === 'string' && canonicalId.test(chosen) ? chosen : undefined;
}

function showQueue({ server }: RouteContext): Answer {
  const { running, pending } = server.instance().queue;
  return json({
    queue_running: running === undefined ? [] : [queueTuple(running)],
    queue_pending: pending.map(queueTuple),
  });
}

async function editQueue({ request, server }: RouteContext): Promise<Answer> {
  const { clear, delete: ids } = editSchema.parse(await jsonBody(request));
  const { queue, sockets } = server.instance();
  if (clear) queue.clear();
  const deleted = ids.map((id) => queue.delete(id));
  if (clear || deleted.includes(true)) sockets.queueChanged();
  return nothing;
}

async function interrupt({ request, server }: RouteContext): Promise<Answer> {
  const body = await textOf(request);
  // An empty body, or one that is no JSON, means: whatever runs.
  const parsed = z.looseObject({ prompt_id: z.string().optional() }).safeParse(parsedOrUndefined(body));
  const { queue, executor } = server.instance();
  const id = parsed.data?.prompt_id;
  if (id === undefined || queue.running?.id === id) executor.interrupt();
  return nothing;
}

async function free({ request, server }: RouteContext): Promise<Answer> {
  const schema = z.looseObject({ unload_models: z.boolean().default(false), free_memory: z.boolean().default(false) });
  const { unload_models: unload, free_memory: dropCaches } = schema.parse(await jsonBody(request));
  server.instance().free({ unload, dropCaches });
  return nothing;
}

function showHistory({ url, server }: RouteContext): Answer {
  const instance = server.instance();
  const [maximum, offset] = [integer(url, 'max_items'), integer(url, 'offset')];
  const shown = instance.queue.historyPage(maximum, offset ?? -1).filter(({ prompt }) => !instance.isHidden(prompt.id));
  return json(Object.fromEntries(shown.map((entry) => [entry.prompt.id, historyJson(entry)])));
}

function showEntry({ parameter, server }: RouteContext): Answer {
  const instance = server.instance();
  const entry = instance.queue.history.get(parameter);
  if (entry === undefined || instance.isHidden(parameter)) return json({});
  return json({ [parameter]: historyJson(entry) });
}

async function editHistory({ request, server }: RouteContext): Promise<Answer> {
  const { clear, delete: ids } = editSchema.parse(await jsonBody(request));
  const { history } = server.instance().queue;
  if (clear) history.clear();
  for (const id of ids) history.delete(id);
  return nothing;
}

function historyJson({ prompt, outputs, status, meta }: HistoryEntry): object {
  return { prompt: queueTuple(prompt satisfies QueueItem), outputs, status, meta };
}

/** @throws Error for text that is no JSON, which the real server answers with 500 */
export async function jsonBody(request: RouteContext['request']): Promise<unknown> {
  return JSON.parse(await textOf(request)) as unknown;
}

function parsedOrUndefined(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return {};
  }
}

/** @throws Error for text that is no whole number */
function integer(url: URL, name: string): number | undefined {
  const value = url.searchParams.get(name);
  if (value === null) return undefined;
  if (!/^\s*[+-]?\d+\s*$/.test(value)) throw new Error(`invalid literal for int() with base 10: '${value}'`);
  return Number(value);
}
