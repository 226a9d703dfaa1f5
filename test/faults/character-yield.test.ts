import { join } from 'node:path';

import { optionalTsToDate } from '@temporalio/common/lib/time.js';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { startCharacterLora } from '../../src/client.js';
import { startComfyuiServer, type ComfyuiServer } from '../../src/sims/comfyui/server.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { gpuQueue } from '../../src/temporal/task-queues.js';
import { describeQueueBacklog } from '../../src/temporal/worker-queues.js';
import { smallJob } from '../support/character-machine.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';

const imageMs = 1_000;
/** Ten seconds, an image, and what a busy machine takes for it; the rule itself is a matter of the unit tests. */
const patienceMs = 30_000;
/** Of the daily training. */
const dailyPriority = 2;
let machine: DailyMachine;
let comfyui: ComfyuiServer;
let gpu: GuardedProcess;

beforeAll(async () => {
  // So few events that a rendering goes on in a new execution when it has made way.
  machine = await DailyMachine.create({ dynamicConfig: ['limit.historyCount.suggestContinueAsNew=40'] });
  const directory = join(machine.tower.home, 'comfyui');
  comfyui = await startComfyuiServer({ directory, settings: { renderMs: imageMs } });
  await machine.configure({ comfyui: { url: comfyui.address, directory }, gpu: { turnMinutes: 0.02 } });
  [, gpu] = await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
  await machine.uploadDay(0);
});
afterAll(async () => {
  await machine.close();
  await comfyui.close();
});

interface GpuActivity {
  readonly name: string;
  readonly scheduled: number;
  readonly started: number;
  readonly ended: number;
}

/** Completed activities of a workflow, or of one of its executions, on the GPU, by the server's clock. */
async function gpuActivities(workflowId: string, runId?: string): Promise<GpuActivity[]> {
  const { events } = await machine.tower.client.workflow.getHandle(workflowId, runId).fetchHistory();
  const eventOf = (id: unknown) => events?.find(({ eventId }) => String(eventId) === String(id));
  const timeOf = (id: unknown) => optionalTsToDate(eventOf(id)?.eventTime)?.getTime() ?? Number.NaN;
  return (events ?? []).flatMap(({ eventId, activityTaskCompletedEventAttributes: completed }) => {
    if (completed == null) return [];
    const { scheduledEventId, startedEventId } = completed;
    const scheduled = eventOf(scheduledEventId)?.activityTaskScheduledEventAttributes;
    if (scheduled?.taskQueue?.name !== gpuQueue('box', 0)) return [];
    const times = { scheduled: timeOf(scheduledEventId), started: timeOf(startedEventId), ended: timeOf(eventId) };
    return [{ name: scheduled.activityType?.name ?? '', ...times }];
  });
}

/** Waits until the server counts a training of the daily loop in the GPU's queue, or it has begun. @returns when, as Unix milliseconds */
async function trainingWaits(): Promise<number> {
  const { client } = machine.tower;
  await waitUntil('a training that waits for the GPU', async () => {
    if ((await describeQueueBacklog(client, gpuQueue('box', 0))).has(dailyPriority)) return true;
    const { activities } = await takeSnapshot(client, 'daily-cycle');
    return activities.some(({ activity, state }) => activity === 'trainAdapter' && state === 'running');
  });
  return Date.now();
}

it('a daily training starts after the present image of a character run, which goes on after it (W8, W19)', async () => {
  const character = await startCharacterLora(machine.tower.client, { job: { ...smallJob, count: 14 } });
  await waitUntil('a rendering', () => comfyui.statistics().renders.length >= 2);
  const cycle = await machine.startCycle();
  const seenAt = await trainingWaits();
  const { training } = await cycle.result();
  expect(training?.executedSteps).toBe(training?.plannedSteps);
  const result = await character.result();
  expect(result).toMatchObject({ images: { accepted: 14, rejected: 0 }, lora: { outcome: 'published' } });

  const [daily] = await gpuActivities('daily-cycle');
  expect(result.yields).toBeGreaterThanOrEqual(1);
  // The history of a run is bounded: it went on in a new execution, with its images, its place and its dataset.
  const { runId, historyLength } = await machine.tower.client.workflow.getHandle(character.workflowId).describe();
  expect(runId).not.toBe(character.firstExecutionRunId);
  expect(historyLength).toBeLessThan(120);
  const isRender = ({ name }: GpuActivity) => name === 'renderCharacter';
  const before = (await gpuActivities(character.workflowId, character.firstExecutionRunId)).findLast(isRender);
  const after = (await gpuActivities(character.workflowId)).find(isRender);
  if (daily === undefined || before === undefined || after === undefined) throw new Error('an activity is missing');
  expect(daily.name).toBe('trainAdapter');
  // Ten seconds after the present image.
  expect(daily.started - seenAt).toBeLessThan(patienceMs);
  expect(daily.started).toBeGreaterThanOrEqual(before.ended);
  expect(after.started).toBeGreaterThanOrEqual(daily.ended);
  // Nothing that was begun was lost: every image was rendered once.
  expect(comfyui.statistics().renders.filter(({ prefix }) => prefix?.includes('character_'))).toHaveLength(14 + 2);
});

/** How long the execution that runs at present lets a stage last, in seconds, of timers between these. */
async function stageTimers(workflowId: string, { min, max }: { min: number; max: number }): Promise<number[]> {
  const { events } = await machine.tower.client.workflow.getHandle(workflowId).fetchHistory();
  const timers = (events ?? []).map(({ timerStartedEventAttributes: timer }) => timer?.startToFireTimeout?.seconds);
  return timers.map(Number).filter((seconds) => seconds >= min && seconds <= max);
}

/** Waits until a run has a rendering in this state. */
function rendering(workflowId: string, state: 'waiting' | 'running') {
  return waitUntil(`a ${state} rendering of ${workflowId}`, async () => {
    const { activities } = await takeSnapshot(machine.tower.client, workflowId);
    return activities.some((pending) => pending.activity === 'renderCharacter' && pending.state === state);
  });
}

it('a daily training does not wait for a ComfyUI that a character run waits for (W8, W19)', async () => {
  await machine.tower.stop(gpu);
  await machine.uploadDay(1);
  const job = { ...smallJob, name: 'Away', stages: ['generate'] };
  const character = await startCharacterLora(machine.tower.client, { job });
  await rendering(character.workflowId, 'waiting');
  await comfyui.close();
  gpu = await machine.tower.startGpu();
  await rendering(character.workflowId, 'running');
  const cycle = await machine.startCycle();
  const seenAt = await trainingWaits();
  const { training } = await cycle.result();
  expect(training?.executedSteps).toBe(training?.plannedSteps);
  const [before] = await gpuActivities(character.workflowId, character.firstExecutionRunId);
  const [daily] = await gpuActivities('daily-cycle');
  expect([before?.name, daily?.name]).toEqual(['renderCharacter', 'trainAdapter']);
  expect((before?.ended ?? Number.NaN) - seenAt).toBeLessThan(patienceMs);

  const { port } = new URL(comfyui.address);
  comfyui = await startComfyuiServer({ directory: join(machine.tower.home, 'comfyui'), port: Number(port) });
  const result = await character.result();
  expect(result).toMatchObject({ images: { accepted: 12, rejected: 0 } });
  expect(result.yields).toBeGreaterThanOrEqual(1);
});

it('two equal runs take turns on the GPU, and one alone is not interrupted (W19)', { timeout: 400_000 }, async () => {
  comfyui.change({ renderMs: 300 });
  const rendersOf = (name: string) =>
    comfyui.statistics().renders.filter(({ prefix }) => prefix?.includes(`character_${name}_v1/`));
  const limitMinutes = 20;
  const start = (name: string, count: number) =>
    startCharacterLora(machine.tower.client, {
      job: { ...smallJob, name, count, limits: { generate: { timeoutMinutes: limitMinutes } } },
    });
  const one = await start('One', 60);
  // Alone for longer than a turn of 1.2 s, and than the first seconds, in which nobody makes way.
  await waitUntil('24 images', () => rendersOf('one').length >= 24);
  // After a turn that had made way it would have gone on in a new execution.
  expect(await gpuActivities(one.workflowId, one.firstExecutionRunId)).toEqual([]);
  // So long that neither comes to its end before both have had two turns.
  comfyui.change({ renderMs: 2_500 });
  const two = await start('Two', 36);
  const isProof = (prefix: string | null) => prefix?.includes('-lora') === true;
  const turnsOf = () => {
    const turns: string[] = [];
    for (const { prefix } of comfyui.statistics().renders) {
      const owner = /character_(one|two)_v1/.exec(prefix ?? '')?.[1];
      if (owner !== undefined && !isProof(prefix) && turns.at(-1) !== owner) turns.push(owner);
    }
    return turns;
  };
  await waitUntil('two turns of each', () => turnsOf().length >= 4, 300_000);
  comfyui.change({ renderMs: 50 });
  const results = await Promise.all([one.result(), two.result()]);

  expect(turnsOf().slice(0, 4)).toEqual(['one', 'two', 'one', 'two']);
  // The new executions went on with what the limit of the rendering had left: 24 images took more than 7 s.
  const [left, ...others] = await stageTimers(one.workflowId, { min: 600, max: limitMinutes * 60 });
  expect(others).toEqual([]);
  expect(left).toBeLessThan(limitMinutes * 60 - 7);
  for (const [index, { images, yields, training, lora }] of results.entries()) {
    const [name, count] = index === 0 ? (['one', 60] as const) : (['two', 36] as const);
    expect(images).toEqual({ planned: count, accepted: count, rejected: 0 });
    expect(yields).toBeGreaterThanOrEqual(1);
    expect(training).toMatchObject({ executedSteps: training?.plannedSteps, redoneSteps: 0 });
    expect(lora?.outcome).toBe('published');
    // Every image was rendered once, and two of them as a proof.
    expect(rendersOf(name).map(({ outcome }) => outcome)).toEqual(Array.from({ length: count + 2 }, () => 'success'));
  }
});
