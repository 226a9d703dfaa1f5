import { readdir, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';

import { WorkflowFailedError } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import { afterAll, beforeAll, expect, it } from 'vitest';

import type { CharacterLoraHandle } from '../../src/cli/character/start-character-lora.js';
import { failureOf } from '../../src/cli/runs/workflow-failure.js';
import type { ServerStatus } from '../../src/cli/status/server-status.js';
import { createComfyuiClient } from '../../src/comfyui/client.js';
import { startCharacterLora, pauseRun, resumeRun } from '../../src/client.js';
import { readJournal } from '../../src/character/journal.js';
import { livingLaunches } from '../../src/training/launch-record.js';
import { runDirectory } from '../../src/training/run-directory.js';
import { readSettled } from '../../src/training/settle.js';
import type { characterLora } from '../../src/workflows/character-lora.js';
import type { housekeeping } from '../../src/workflows/housekeeping.js';
import { characterSlotsWorkflowId, slotsQuery } from '../../src/workflows/names.js';
import type { SlotState } from '../../src/workflows/slot-queue.js';
import { pino } from 'pino';

import { CharacterMachine } from '../support/character-machine.js';
import { waitUntil } from '../support/wait-until.js';

let machine: CharacterMachine;

beforeAll(async () => {
  machine = await CharacterMachine.create({
    comfyui: { renderMs: 50 },
    settings: { train: { simulatedSecondsPerStep: 0.1 } },
  });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
});
afterAll(() => machine.close());

const queue = () => createComfyuiClient({ baseUrl: machine.comfyui.address, log: pino({ level: 'silent' }) }).queue();
const journalOf = (run: string) => readJournal(join(machine.tower.paths.runs, run, 'images.jsonl'));

async function expectCancelled(handle: CharacterLoraHandle): Promise<void> {
  await expect(handle.result()).rejects.toThrow(WorkflowFailedError);
  expect((await handle.describe()).status.name).toBe('CANCELLED');
}

it('leaves no prompt behind when a rendering is cancelled, and goes on from its images when asked to (W11, W24)', async () => {
  await machine.change({ renderMs: 1_000 });
  const handle = await machine.start({ name: 'Ida', kohya: { max_train_epochs: 1 } });
  await machine.accepted(handle.workflowId, 3);
  const cancelled = await machine.tower.tower('character', 'cancel', 'ida', '--json');
  expect(cancelled.exitCode).toBe(0);
  await expectCancelled(handle);
  expect(await queue()).toEqual({ running: [], pending: [] });
  expect(await machine.isGpuHeld()).toBe(false);
  const before = (await journalOf('character_ida_v1')).accepted;
  expect(before.size).toBeGreaterThanOrEqual(3);

  await machine.change({ renderMs: 50 });
  const started = await machine.tower.tower('character', 'start', '--run', 'ida', '--json');
  const { workflowId } = JSON.parse(String(started.stdout)) as { workflowId: string };
  expect(workflowId).toBe('character-lora/ida/2');
  const next = machine.tower.client.workflow.getHandle<typeof characterLora>(workflowId);
  const [begin] = (await next.fetchHistory()).events ?? [];
  const [input] = begin?.workflowExecutionStartedEventAttributes?.input?.payloads ?? [];
  // Its files are on the host where it was.
  expect(defaultPayloadConverter.fromPayload(input!)).toEqual({ run: 'character_ida_v1', host: 'box' });
  const result = await next.result();
  expect(result).toMatchObject({ run: 'character_ida_v1', images: { accepted: 12 }, lora: { outcome: 'published' } });
  const { accepted } = await journalOf('character_ida_v1');
  for (const [index, { promptId }] of before) expect(accepted.get(index)?.promptId).toBe(promptId);
});

it('pauses a rendering and a training, and goes on from where they were (W24)', async () => {
  const { client } = machine.tower;
  await machine.change({ renderMs: 1_000 });
  const handle = await machine.start({ name: 'Pia', kohya: { max_train_epochs: 12 } });
  const { workflowId } = handle;
  await machine.accepted(workflowId, 2);
  const paused = await machine.tower.tower('character', 'pause', 'pia', '--json');
  expect(JSON.parse(String(paused.stdout))).toMatchObject({ state: 'saved', unit: 'images' });
  expect(await queue()).toEqual({ running: [], pending: [] });
  expect(await machine.isGpuHeld()).toBe(false);
  const { accepted } = await journalOf('character_pia_v1');
  const list = await machine.tower.tower('character', 'list', '--open', '--json');
  expect(JSON.parse(String(list.stdout))).toMatchObject({ characters: [{ name: 'Pia', status: 'paused' }] });
  await machine.change({ renderMs: 50 });
  expect((await machine.tower.tower('character', 'resume', 'pia')).exitCode).toBe(0);

  await machine.trainingAtStep(workflowId, 12);
  const state = await pauseRun(client, workflowId);
  expect(state).toMatchObject({ state: 'saved' });
  expect(state.step).toBeGreaterThan(0);
  const run = runDirectory(join(machine.tower.paths.runs, 'character_pia_v1'));
  expect(await livingLaunches(run)).toEqual([]);
  expect(await machine.isGpuHeld()).toBe(false);
  await resumeRun(client, workflowId);

  const result = await handle.result();
  expect(result.training).toMatchObject({ launches: 2 });
  expect(result.training?.executedSteps).toBe(result.training?.plannedSteps);
  const settled = await readSettled(run);
  expect(settled?.steps.segments.at(-1)?.from).toBe(state.step + 1);
  const after = (await journalOf('character_pia_v1')).accepted;
  for (const [index, { promptId }] of accepted) expect(after.get(index)?.promptId).toBe(promptId);
});

it('leaves no trainer behind when a training is cancelled, or its workflow is terminated (W11, W24)', async () => {
  const handle = await machine.start({ name: 'Uma', count: 2, kohya: { max_train_epochs: 50 } });
  await machine.trainingAtStep(handle.workflowId, 3);
  const run = runDirectory(join(machine.tower.paths.runs, 'character_uma_v1'));
  expect(await livingLaunches(run)).toHaveLength(1);
  // Nobody is told of a termination; housekeeping finds the trainer whose workflow is gone.
  await handle.terminate('a test');
  const options = { taskQueue: 'tower', workflowId: 'housekeeping' };
  await machine.tower.client.workflow.execute<typeof housekeeping>('housekeeping', options);
  await waitUntil('the end of the trainer', async () => (await livingLaunches(run)).length === 0);

  const next = await startCharacterLora(machine.tower.client, { run: 'character_uma_v1' });
  await waitUntil('a new trainer', async () => (await livingLaunches(run)).length === 1);
  await next.cancel();
  await expectCancelled(next);
  expect(await livingLaunches(run)).toEqual([]);
  expect(await machine.isGpuHeld()).toBe(false);
  expect((await readdir(machine.loras)).filter((name) => name.startsWith('uma'))).toEqual([]);
});

it('ends a stage in order when its time is over, which pauses do not use up (W1)', async () => {
  await machine.change({ renderMs: 60_000 });
  const limits = { generate: { timeoutMinutes: 0.3 } };
  // ComfyUI obeys an interrupt at its next sampling step.
  const handle = await machine.start({ name: 'Slow', count: 1, steps: 120, stages: ['generate'], limits });
  await machine.activity(handle.workflowId, 'renderCharacter', ({ state }) => state === 'running');
  await pauseRun(machine.tower.client, handle.workflowId);
  await delay(19_000);
  await resumeRun(machine.tower.client, handle.workflowId);
  await waitUntil('a prompt', async () => (await queue()).running.length === 1);
  // That its end cannot be recorded then is not why it ended.
  await rm(join(machine.tower.paths.runs, 'character_slow_v1', 'job.json'));
  const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
  if (!(error instanceof WorkflowFailedError)) throw new Error('it has not failed');
  expect(failureOf(error.cause)).toMatchObject({ code: 'STAGE_TIMED_OUT' });
  expect(await queue()).toEqual({ running: [], pending: [] });
});

it('refuses an input that does not fit, started by hand', async () => {
  const byHand = async (workflowId: string, input: unknown) => {
    const options = { taskQueue: 'tower', workflowId, args: [input] };
    const handle = await machine.tower.client.workflow.start('characterLora', options);
    const error: unknown = await handle.result().catch((thrown: unknown) => thrown);
    return error instanceof WorkflowFailedError ? failureOf(error.cause).code : 'it has not failed';
  };
  const job = { name: 'Hand', description: '1girl', allowSimulated: true };
  expect(await byHand('character-lora/hand/1', undefined)).toBe('BAD_INPUT');
  expect(await byHand('character-lora/hand/2', { jobb: job })).toBe('BAD_INPUT');
  expect(await byHand('character-lora/hand/3', { job: { ...job, count: 0 } })).toBe('CHARACTER_JOB_INVALID');
  expect(await byHand('character-lora/other/1', { job })).toBe('WRONG_WORKFLOW_ID');
  expect(await byHand('character-lora/hand/4', { run: 'character_hand_v9' })).toBe('NOT_FOUND');
});

it('has the sixth run wait, says why, and lets it go on when a place is free', async () => {
  await machine.change({ renderMs: 60_000 });
  const start = (number: number) => machine.start({ name: `Waits ${number}`, count: 1, stages: ['generate'] });
  const handles = await Promise.all([1, 2, 3, 4, 5].map(start));
  await Promise.all(handles.map(({ workflowId }) => machine.stage(workflowId, 'render')));
  handles.push(await start(6));
  const sixth = 'character-lora/waits_6/1';
  await machine.stage(sixth, 'wait for a slot');
  const status = await waitUntil('the reason', async () => {
    const { stdout } = await machine.tower.tower('status', '--json');
    const { server } = JSON.parse(String(stdout)) as { server: ServerStatus };
    const workflows = server.reachable ? server.workflows : [];
    return workflows.find(({ workflowId, waitsFor }) => workflowId === sixth && waitsFor !== null);
  });
  expect(status.waitsFor).toContain('5 of at most 5 character runs are at work');
  expect(status.waitsFor).toContain('next in line');
  // Also where people look at characters first.
  const { stdout: list } = await machine.tower.tower('character', 'list', '--open', '--json');
  const { characters } = JSON.parse(String(list)) as { characters: { workflowId: string; waitsFor: string | null }[] };
  const waiting = characters.filter(({ waitsFor }) => waitsFor !== null);
  expect(waiting).toMatchObject([{ workflowId: sixth, status: 'waiting', waitsFor: status.waitsFor }]);
  const { stdout: table } = await machine.tower.tower('character', 'list');
  expect(String(table).split('\n')[0]).toMatch(/WAITS FOR$/);
  expect(
    String(table)
      .split('\n')
      .filter((line) => line.endsWith(String(status.waitsFor))),
  ).toHaveLength(1);

  await handles[0]?.cancel();
  await machine.stage(sixth, 'render');
  // One that is ended from outside gives nothing back by itself; whoever asks next has that looked after.
  await handles[1]?.terminate('a test');
  handles.push(await start(7));
  await machine.stage('character-lora/waits_7/1', 'render');
  await Promise.all(handles.slice(2).map((handle) => handle.cancel()));
  await Promise.all([...handles.slice(0, 1), ...handles.slice(2)].map(expectCancelled));
  await waitUntil('the end of the places', async () => {
    const { status: end } = await machine.tower.client.workflow.getHandle('character-slots').describe();
    return end.name === 'COMPLETED';
  });
});

it('places go by level, and a paused run gives its own to others, which status says (W24)', async () => {
  const { client } = machine.tower;
  await machine.change({ renderMs: 60_000 });
  // ComfyUI obeys an interrupt at its next sampling step.
  const start = (number: number, priority: string) =>
    machine.start({ name: `Level ${number}`, count: 1, steps: 120, stages: ['generate'], priority });
  const atWork = await Promise.all([1, 2, 3, 4, 5].map((number) => start(number, 'normal')));
  await Promise.all(atWork.map(({ workflowId }) => machine.stage(workflowId, 'render')));
  const [low, high] = [await start(6, 'low'), await start(7, 'high')];
  const inLine = (...expected: CharacterLoraHandle[]) =>
    waitUntil('the line', async () => {
      const { waiting } = await client.workflow.getHandle(characterSlotsWorkflowId).query<SlotState>(slotsQuery);
      const ids = waiting.map(({ workflowId }) => workflowId);
      return ids.join() === expected.map(({ workflowId }) => workflowId).join();
    });
  await inLine(high, low);

  const [paused, other] = atWork;
  if (paused === undefined || other === undefined) throw new Error('no runs');
  await pauseRun(client, paused.workflowId);
  await machine.stage(high.workflowId, 'render');
  const status = await machine.tower.tower('status', '--json');
  const { server } = JSON.parse(String(status.stdout)) as { server: ServerStatus };
  const shown = server.reachable ? server.workflows : [];
  expect(shown.find(({ workflowId }) => workflowId === paused.workflowId)).toMatchObject({
    ...{ paused: true, stage: 'render (paused)' },
    waitsFor: expect.stringContaining('its place is free for others') as string,
  });

  // After the pause it is in the line again, before whoever presses less.
  await resumeRun(client, paused.workflowId);
  await machine.stage(paused.workflowId, 'wait for a slot');
  await inLine(paused, low);
  await other.cancel();
  await machine.stage(paused.workflowId, 'render');
  await inLine(low);
  const all = [...atWork, low, high];
  await Promise.all(all.map((handle) => handle.cancel().catch(() => undefined)));
  await Promise.all(all.map(expectCancelled));
});
