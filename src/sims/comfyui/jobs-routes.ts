import { z } from 'zod';

import { json, type Answer } from './answers.js';
import type { HistoryEntry, QueueItem } from './prompt-queue.js';
import { jsonBody } from './prompt-routes.js';
import type { Route, RouteContext, ServerState } from './route.js';

const states = ['pending', 'in_progress', 'completed', 'failed', 'cancelled'] as const;
type State = (typeof states)[number];

type Job = Readonly<Record<string, unknown>> & { readonly id: string; readonly status: State };

/** The jobs API (contract comfyui 5): from B on; cancelling in N. */
export const jobsRoutes: readonly Route[] = [
  { method: 'GET', pattern: '/api/jobs', handle: guarded(listJobs, 'jobs') },
  { method: 'GET', pattern: '/api/jobs/{prompt_id}', handle: guarded(showJob, 'jobs') },
  { method: 'POST', pattern: '/api/jobs/cancel', handle: guarded(cancelJobs, 'jobCancel') },
  { method: 'POST', pattern: '/api/jobs/{prompt_id}/cancel', handle: guarded(cancelJob, 'jobCancel') },
];

function guarded(handle: Route['handle'], needs: 'jobs' | 'jobCancel'): Route['handle'] {
  return (context) => (context.server.dialect[needs] ? handle(context) : { status: 404 });
}

function listJobs({ url, server }: RouteContext): Answer {
  const query = url.searchParams;
  const wanted = query.get('status')?.split(',') ?? [...states];
  const limit = query.get('limit');
  const offset = query.get('offset') ?? '0';
  const [sortBy, order] = [query.get('sort_by') ?? 'created_at', query.get('sort_order') ?? 'desc'];
  const fault =
    wanted.find((status) => !(states as readonly string[]).includes(status)) ??
    [limit ?? '1', offset].find((value) => !/^\d+$/.test(value)) ??
    [limit].find((value) => value === '0') ??
    [sortBy].find((value) => value !== 'created_at' && value !== 'execution_duration') ??
    [order].find((value) => value !== 'asc' && value !== 'desc');
  if (fault !== undefined) return json({ error: `invalid value: ${String(fault)} (simulated)` }, 400);
  const workflow = query.get('workflow_id');
  const key = sortBy === 'created_at' ? (job: Job) => Number(job['create_time'] ?? 0) : durationOf;
  const sign = order === 'asc' ? 1 : -1;
  const found = allJobs(server)
    .filter((job) => wanted.includes(job.status) && (workflow === null || job['workflow_id'] === workflow))
    .sort((a, b) => sign * (key(a) - key(b)));
  const page = found.slice(Number(offset), limit === null ? undefined : Number(offset) + Number(limit));
  const more = Number(offset) + page.length < found.length;
  return json({
    jobs: page,
    pagination: {
      offset: Number(offset),
      limit: limit === null ? null : Number(limit),
      total: found.length,
      has_more: more,
    },
  });
}

function showJob({ parameter, server }: RouteContext): Answer {
  const instance = server.instance();
  const { queue } = instance;
  const entry = queue.history.get(parameter);
  if (entry !== undefined && !instance.isHidden(parameter)) {
    const { outputs, status, prompt } = entry;
    const workflow = { prompt: prompt.graph, extra_data: prompt.extraData };
    return json({ ...finishedJob(entry), outputs, execution_status: status, workflow });
  }
  if (queue.running?.id === parameter) return json(waitingJob(queue.running, 'in_progress'));
  const waiting = queue.pending.find(({ id }) => id === parameter);
  if (waiting !== undefined) return json(waitingJob(waiting, 'pending'));
  return json({ error: 'Job not found' }, 404);
}

async function cancelJobs({ request, server }: RouteContext): Promise<Answer> {
  const { job_ids: ids } = z.object({ job_ids: z.array(z.string()) }).parse(await jsonBody(request));
  const invalid = ids.filter((id) => !z.uuid().safeParse(id).success || id !== id.toLowerCase());
  if (invalid.length > 0) return json({ error: 'invalid job ids (simulated)', invalid_ids: invalid }, 400);
  return json({ cancelled: ids.filter((id) => cancel(server, id)) });
}

function cancelJob({ parameter, server }: RouteContext): Answer {
  return json({ cancelled: cancel(server, parameter) });
}

function cancel(server: ServerState, id: string): boolean {
  const { queue, executor, sockets } = server.instance();
  if (queue.running?.id === id) {
    executor.interrupt();
    return true;
  }
  const deleted = queue.delete(id);
  if (deleted) sockets.queueChanged();
  return deleted;
}

function allJobs(server: ServerState): Job[] {
  const instance = server.instance();
  const { running, pending, history } = instance.queue;
  return [
    ...(running === undefined ? [] : [waitingJob(running, 'in_progress')]),
    ...pending.map((item) => waitingJob(item, 'pending')),
    ...[...history.values()].filter(({ prompt }) => !instance.isHidden(prompt.id)).map(finishedJob),
  ];
}

function waitingJob(item: QueueItem, status: State): Job {
  return { ...commonOf(item), status, outputs_count: 0 };
}

function finishedJob({ prompt, outputs, status }: HistoryEntry): Job {
  const times = new Map(status.messages.map(([event, data]) => [event, data]));
  const end = ['execution_success', 'execution_error', 'execution_interrupted'].find((event) => times.has(event)) ?? '';
  const failed = times.has('execution_interrupted') ? 'cancelled' : 'failed';
  const files = Object.entries(outputs).flatMap(([nodeId, output]) =>
    Object.entries(output).flatMap(([mediaType, found]) => found.map((file) => ({ ...file, nodeId, mediaType }))),
  );
  const preview = files.find(({ type }) => type === 'output') ?? files[0];
  return {
    ...commonOf(prompt),
    status: status.status_str === 'success' ? 'completed' : failed,
    execution_start_time: times.get('execution_start')?.['timestamp'],
    execution_end_time: times.get(end)?.['timestamp'],
    execution_error: times.get('execution_error'),
    outputs_count: files.length,
    preview_output: preview,
  };
}

function commonOf({ id, number, extraData }: QueueItem) {
  const info = extraData['extra_pnginfo'] as { workflow?: { id?: unknown } } | undefined;
  return { id, priority: number, create_time: extraData['create_time'], workflow_id: info?.workflow?.id };
}

function durationOf(job: Job): number {
  const [start, end] = [job['execution_start_time'], job['execution_end_time']];
  return typeof start === 'number' && typeof end === 'number' ? end - start : 0;
}
