import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { defaultPayloadConverter } from '@temporalio/common';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { startConsumePrompts } from '../../src/client.js';
import type { Fault } from '../../src/sims/syntx/faults.js';
import { landscapeSchema } from '../../src/sims/syntx/landscape.js';
import { SyntxMachine } from '../support/syntx-machine.js';
import { baseName, incomingMetadata } from '../support/syntx-queue.js';

const pauses = { firstSeconds: 0.3, longestSeconds: 5, lateSeconds: 1.5, onceSeconds: 0.9 };
const [first, late, once] = [300, 1500, 900];

interface Case {
  readonly name: string;
  readonly fault: Fault;
  /** Calls that get the fault. */
  readonly times: number;
  /** Before each repeated call, in milliseconds. */
  readonly pauses: readonly number[];
  readonly kind: string;
  /** What the original would have written; missing for a prompt that is scored in the end. */
  readonly error?: string;
}

const status = (code: number, detail?: string, headers?: Record<string, string>): Fault => ({
  ...{ kind: 'status', status: code, detail: detail ?? 'simulated fault', ...(headers && { headers }) },
});

const cases: readonly Case[] = [
  { name: 'overloaded', fault: status(503), times: 1, pauses: [first], kind: 'WRAPPER_OVERLOADED' },
  {
    ...{ name: 'told when', fault: status(429, 'later', { 'retry-after': '1' }), times: 1 },
    ...{ pauses: [1000], kind: 'WRAPPER_OVERLOADED' },
  },
  { name: 'reset', fault: { kind: 'reset' }, times: 1, pauses: [first], kind: 'WRAPPER_UNREACHABLE' },
  {
    ...{ name: 'model away', fault: status(500, 'All connection attempts failed'), times: 2 },
    ...{ pauses: [first, 2 * first], kind: 'WRAPPER_UNREACHABLE' },
  },
  { name: 'model slow', fault: status(500, ''), times: 1, pauses: [late], kind: 'WRAPPER_TIMED_OUT' },
  {
    ...{ name: 'proxy gave up', fault: status(504), times: 2, pauses: [late] },
    ...{ kind: 'WRAPPER_TIMED_OUT', error: 'HTTPError: Server Error 504' },
  },
  {
    ...{ name: 'broken', fault: status(500, 'name is not defined'), times: 2, pauses: [once] },
    ...{ kind: 'WRAPPER_FAILED', error: 'HTTPError: Server Error 500' },
  },
  {
    ...{ name: 'forbidden', fault: status(403), times: 1, pauses: [] },
    ...{ kind: 'WRAPPER_REFUSED', error: 'HTTPError: 403 Client Error' },
  },
];

let machine: SyntxMachine;

beforeAll(async () => {
  machine = await SyntxMachine.create({
    ...{ inMemory: true, service: { defects: { misplacedRoute: false } } },
    settings: { syntx: { consume: { parallel: cases.length, stopAfterFaults: 20, retry: pauses } } },
  });
  machine.service.landscape = landscapeSchema.parse({ means: {}, noise: 0, otherwise: 100 });
  await machine.tower.startControl();
});
afterAll(() => machine.close());

/** Writes a job as the original's producer does. */
async function put(index: number, prompt: string): Promise<string> {
  const name = baseName(index);
  await mkdir(join(machine.queue, 'incoming'), { recursive: true });
  await writeFile(join(machine.queue, 'incoming', `${name}.txt`), prompt);
  await writeFile(join(machine.queue, 'incoming', `${name}.json`), JSON.stringify(incomingMetadata(name)));
  return name;
}

function callsOf(prompt: string) {
  return machine.service.calls().filter((call) => call.prompt === prompt);
}

/** The last attempt of each prompt's activity, as the history has it: the failure before it tells when it was to be made. */
async function lastAttempts(
  workflowId: string,
): Promise<Map<string, { attempt: number; delayMs: number | undefined }>> {
  const { events } = await machine.tower.client.workflow.getHandle(workflowId).fetchHistory();
  const attempts = new Map<string, { attempt: number; delayMs: number | undefined }>();
  for (const { activityTaskStartedEventAttributes: started } of events ?? []) {
    const scheduled = events?.find(({ eventId }) => String(eventId) === String(started?.scheduledEventId));
    const attributes = scheduled?.activityTaskScheduledEventAttributes;
    const [payload] = attributes?.input?.payloads ?? [];
    if (!started || attributes?.activityType?.name !== 'calibratePrompt' || !payload) continue;
    const { job } = defaultPayloadConverter.fromPayload<{ job: { baseName: string } }>(payload);
    const delay = started.lastFailure?.applicationFailureInfo?.nextRetryDelay;
    const delayMs = delay ? Number(delay.seconds ?? 0) * 1000 + Number(delay.nanos ?? 0) / 1e6 : undefined;
    attempts.set(job.baseName, { attempt: Number(started.attempt), delayMs });
  }
  return attempts;
}

it('a chat path that answers 422 is left for the other one, within the call', async () => {
  const job = await put(0, 'path');
  machine.service.faults = [{ times: 9, path: '/api/chat', fault: status(422, 'Field required') }];
  const result = await (await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: 1 })).result();
  expect(result).toMatchObject({ claimed: 1, processed: 1, unscored: 0 });
  expect(callsOf('path').map(({ path }) => path)).toEqual(['/api/chat', '/resonanz/chat']);
  expect((await machine.metadata('processed', job))['tower']).not.toHaveProperty('faults');
});

it('each fault is tried again by its class, after its pause, and never becomes a score', async () => {
  const jobs = await Promise.all(cases.map(({ name }, index) => put(index + 1, name)));
  machine.service.faults = cases.map(({ name, times, fault }) => ({ times, containing: name, fault }));
  const run = await startConsumePrompts(machine.tower.client, { wrapper: 'sigma', batch: cases.length });
  const failed = cases.filter(({ error }) => error !== undefined);
  expect(await run.result()).toMatchObject({
    ...{ claimed: cases.length, processed: cases.length - failed.length, low: 0, unscored: failed.length, lost: 0 },
    ...{ meanScore: 98, ended: 'batch' },
  });
  const attempts = await lastAttempts(run.workflowId);

  for (const [index, { name, kind, pauses: expected, error, times }] of cases.entries()) {
    const job = jobs[index] ?? '';
    const calls = callsOf(name);
    expect(calls, name).toHaveLength(1 + expected.length);
    // What has worked once is not looked for again.
    expect(new Set(calls.map(({ path }) => path))).toEqual(new Set(['/resonanz/chat']));
    const gaps = calls.slice(1).map(({ time }, at) => Date.parse(time) - Date.parse(calls[at]?.time ?? ''));
    for (const [at, gap] of gaps.entries()) expect(gap, name).toBeGreaterThanOrEqual((expected[at] ?? 0) - 20);
    // Every fault is an attempt of the same activity, and the server keeps the pause.
    expect(attempts.get(job), name).toEqual({ attempt: 1 + expected.length, delayMs: expected.at(-1) });

    const metadata =
      error === undefined
        ? await machine.metadata('processed', job)
        : await machine.metadata('error', `${job}__retry1`);
    expect(metadata['tower'], name).toMatchObject({
      faults: Array.from({ length: times }, () => expect.objectContaining({ kind }) as object),
    });
    if (error === undefined) {
      expect(metadata, name).toMatchObject({
        status: 'success',
        syntex_result: { quality_score: { total_score: 98 } },
      });
    } else {
      expect(metadata, name).toMatchObject({
        ...{ status: 'error', retry_count: 1 },
        last_error: { error: expect.stringContaining(error) as string, wrapper: 'sigma', worker_id: 'cron_sigma' },
      });
      expect(metadata, name).not.toHaveProperty('syntex_result');
    }
  }
  expect(await machine.faults()).toEqual([]);
});
