import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { Context } from '@temporalio/activity';
import type { WorkflowHandle } from '@temporalio/client';
import { optionalTsToDate } from '@temporalio/common/lib/time.js';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { createGpuActivities } from '../../src/activities/gpu-activities.js';
import { withGpuTurn } from '../../src/activities/gpu-turn.js';
import { withHeartbeat } from '../../src/activities/heartbeat.js';
import type { WorkerEnvironment } from '../../src/activities/worker-environment.js';
import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { loadConfig } from '../../src/config/load-config.js';
import { gpuQueue } from '../../src/temporal/task-queues.js';
import { DailyMachine } from '../support/daily-machine.js';
import type { RenderActivities, renderAll, RenderTurn } from '../support/gpu-workflows.js';
import { quietRuntime, TestWorker } from '../support/test-worker.js';
import { waitUntil } from '../support/wait-until.js';

const imageMs = 500;
/** Ten seconds, an image, and what a busy machine takes for it; the rule itself is a matter of the unit tests. */
const patienceMs = 30_000;
const queue = gpuQueue('box', 0);
/** Every rendered image as `<run> <image>`, in the order of their rendering. */
const rendered: string[] = [];
const workers: TestWorker[] = [];
let machine: DailyMachine;

beforeAll(async () => {
  quietRuntime();
  machine = await DailyMachine.create();
  await machine.tower.startControl();
  const { address } = machine.tower.server;
  const environment = await workerEnvironment();
  workers.push(
    await TestWorker.start(address, {
      taskQueue: 'test',
      workflowsPath: fileURLToPath(new URL('../support/gpu-workflows.ts', import.meta.url)),
    }),
    await TestWorker.start(address, {
      taskQueue: queue,
      activities: { ...createGpuActivities(environment), ...renderActivities(environment) },
      maxConcurrentActivityTaskExecutions: 1,
    }),
  );
  await machine.uploadDay(0);
});
afterAll(async () => {
  for (const worker of workers) await worker.stop();
  await machine.close();
});

async function workerEnvironment(): Promise<WorkerEnvironment> {
  const { home, paths, configFile, client } = machine.tower;
  const { config } = await loadConfig({ env: {}, file: configFile, home, settings: [] });
  const log = pino({ level: 'silent' });
  return { config, paths, host: 'box', log, client, readApiKey: () => Promise.resolve(machine.towerKey) };
}

let letBlockerGoOn: (() => void) | undefined;
/** The blocker's first image is not done before. */
const blockerGoesOn = new Promise<void>((resolve) => (letBlockerGoOn = resolve));

/** As image rendering works, with time in place of pictures. */
function renderActivities(environment: WorkerEnvironment): RenderActivities {
  return {
    renderImages: ({ run, images }) =>
      withHeartbeat(Context.current(), 1_000, (report) =>
        withGpuTurn(environment, Context.current(), { gpuIndex: 0, run, kind: 'render' }, async (turn) => {
          const done: string[] = [];
          for (const image of images) {
            if (turn.yieldRequested !== undefined) return { done, yielded: turn.yieldRequested };
            await delay(imageMs, undefined, { signal: turn.signal });
            if (run === 'blocker') await blockerGoesOn;
            rendered.push(`${run} ${image}`);
            done.push(image);
            report({ done: done.length });
          }
          return { done, yielded: null };
        }),
      ),
  };
}

function startRender(run: string, priority: number, count: number): Promise<WorkflowHandle<typeof renderAll>> {
  return machine.tower.client.workflow.start<typeof renderAll>('renderAll', {
    taskQueue: 'test',
    workflowId: run,
    args: [{ gpuQueue: queue, priority, run, images: imageNames(count) }],
  });
}

function imageNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `image-${index}`);
}

interface ActivityTimes {
  readonly taskQueue: string;
  readonly scheduled: number;
  readonly started: number;
  readonly ended: number;
}

/** When the completed activities of a workflow were queued, started and completed, by the server's clock. */
async function activityTimes(workflowId: string): Promise<ActivityTimes[]> {
  const { events } = await machine.tower.client.workflow.getHandle(workflowId).fetchHistory();
  const timeOf = (id: unknown) => {
    const event = events?.find(({ eventId }) => String(eventId) === String(id));
    return optionalTsToDate(event?.eventTime)?.getTime() ?? Number.NaN;
  };
  return (events ?? []).flatMap(({ eventId, activityTaskCompletedEventAttributes: completed }) => {
    if (completed == null) return [];
    const { scheduledEventId, startedEventId } = completed;
    const scheduled = events?.find((event) => String(event.eventId) === String(scheduledEventId));
    const taskQueue = scheduled?.activityTaskScheduledEventAttributes?.taskQueue?.name ?? '';
    const times = { scheduled: timeOf(scheduledEventId), started: timeOf(startedEventId), ended: timeOf(eventId) };
    return [{ taskQueue, ...times }];
  });
}

it('makes way for a training within 10 s and its present image, and then renders the rest', async () => {
  const images = 36;
  const render = await startRender('portraits', 4, images);
  await waitUntil('some images', () => rendered.length >= 3);
  const cycle = await machine.startCycle();

  expect(await cycle.result()).toMatchObject({ outcome: 'trained' });
  const turns: RenderTurn[] = await render.result();

  expect(rendered).toEqual(imageNames(images).map((image) => `portraits ${image}`));
  const urgent = (await activityTimes('daily-cycle')).filter(({ taskQueue }) => taskQueue === queue);
  const renders = await activityTimes('portraits');
  // A turn for each urgent job that it made way for, and one for the rest.
  expect(turns).toHaveLength(urgent.length + 1);
  expect(turns.at(-1)?.yielded).toBeNull();
  for (const [index, job] of urgent.entries()) {
    const [before, after] = [renders[index], renders[index + 1]];
    expect(turns[index]?.yielded).toEqual({ reason: '1 waiting with priority 2, ahead of 4' });
    expect((before?.ended ?? Number.NaN) - job.scheduled).toBeLessThan(patienceMs);
    expect(job.started).toBeGreaterThanOrEqual(before?.ended ?? Number.NaN);
    expect(after?.started).toBeGreaterThanOrEqual(job.ended);
  }
});

it('keeps the GPU while nothing more urgent waits; then ten waiting jobs go strictly by priority', async () => {
  rendered.length = 0;
  const blocker = await startRender('blocker', 1, 4);
  await waitUntil('the blocker to render', async () => {
    const { activities } = await takeSnapshot(machine.tower.client, blocker.workflowId);
    return activities[0]?.state === 'running';
  });
  const priorities = [5, 2, 4, 1, 3, 3, 1, 5, 2, 4];
  const jobs = await Promise.all(
    priorities.map((priority, index) => startRender(`p${priority}-${index}`, priority, 1)),
  );
  await waitUntil('ten waiting jobs', async () => {
    const snapshots = await Promise.all(jobs.map(({ workflowId }) => takeSnapshot(machine.tower.client, workflowId)));
    return snapshots.every(({ activities }) => activities[0]?.state === 'waiting');
  });
  expect(rendered).toEqual([]);
  letBlockerGoOn?.();

  expect(await blocker.result()).toEqual([{ done: imageNames(4), yielded: null }]);
  await Promise.all(jobs.map((job) => job.result()));

  const order = rendered.filter((entry) => !entry.startsWith('blocker')).map((entry) => Number(entry[1]));
  expect(order).toEqual(priorities.toSorted((one, other) => one - other));
});
