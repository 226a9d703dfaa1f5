import { join } from 'node:path';

import { optionalTsToDate } from '@temporalio/common/lib/time.js';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { startCharacterLora } from '../../src/client.js';
import { startComfyuiServer, type ComfyuiServer } from '../../src/sims/comfyui/server.js';
import { gpuQueue } from '../../src/temporal/task-queues.js';
import { smallJob } from '../support/character-machine.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';

const imageMs = 1_000;
let machine: DailyMachine;
let comfyui: ComfyuiServer;

beforeAll(async () => {
  // So few events that a rendering goes on in a new execution when it has made way.
  machine = await DailyMachine.create({ dynamicConfig: ['limit.historyCount.suggestContinueAsNew=40'] });
  const directory = join(machine.tower.home, 'comfyui');
  comfyui = await startComfyuiServer({ directory, settings: { renderMs: imageMs } });
  await machine.configure({ comfyui: { url: comfyui.address, directory } });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
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

it('a daily training starts after the present image of a character run, which goes on after it (W8, W19)', async () => {
  const character = await startCharacterLora(machine.tower.client, { job: { ...smallJob, count: 14 } });
  await waitUntil('a rendering', () => comfyui.statistics().renders.length >= 2);
  const cycle = await machine.startCycle();
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
  // Ten seconds after the present image: the queue's count is a few seconds old.
  expect(before.ended - daily.scheduled).toBeLessThan(10_000 + imageMs);
  expect(daily.started).toBeGreaterThanOrEqual(before.ended);
  expect(after.started).toBeGreaterThanOrEqual(daily.ended);
  // Nothing that was begun was lost: every image was rendered once.
  expect(comfyui.statistics().renders.filter(({ prefix }) => prefix?.includes('character_'))).toHaveLength(14 + 2);
});
