import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { WorkflowFailedError } from '@temporalio/client';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { pauseRun, resumeRun, startDailyCycle, startDailyTick } from '../../src/client.js';
import { packageRoot } from '../../src/files/package-root.js';
import type { DailyTickResult, dailyTick } from '../../src/workflows/daily-tick.js';
import { DailyMachine } from '../support/daily-machine.js';
import { testTemporalCli } from '../support/temporal-cli.js';
import { hundredSteps } from '../support/training-day.js';
import { waitUntil } from '../support/wait-until.js';

const small = { clients: 1, filesPerDay: 8 };
let machine: DailyMachine;
let documentedJson: string;

beforeAll(async () => {
  machine = await DailyMachine.create({
    settings: { train: { simulatedSecondsPerStep: 0.05, hyperparameters: hundredSteps } },
  });
  await machine.tower.startControl();
  await machine.tower.startGpu();
  const text = await readFile(join(packageRoot, 'docs', 'workflows.md'), 'utf8');
  documentedJson = /--input '(\{"scheduledTime".*\})'/.exec(text)?.[1] ?? '';
});
afterAll(() => machine.close());

/** The command line of Temporal itself, as an administrator uses it. */
async function temporal(...args: string[]): Promise<unknown> {
  const { path } = await testTemporalCli();
  const { address } = machine.tower.server;
  const { stdout } = await execa(path, [...args, '--address', address, '--output', 'json'], {
    env: { HOME: machine.tower.home, PATH: process.env['PATH'] },
    extendEnv: false,
  });
  return JSON.parse(stdout);
}

function startTick(id: string, input: string): Promise<unknown> {
  const named = ['--type', 'dailyTick', '--task-queue', 'tower', '--workflow-id', id];
  return temporal('workflow', 'start', ...named, '--input', input);
}

function resultOf(id: string): Promise<DailyTickResult> {
  return machine.tower.client.workflow.getHandle<typeof dailyTick>(id).result();
}

/** Why a workflow failed. */
async function failureOf(result: Promise<unknown>): Promise<unknown> {
  const outcome = await result.then(
    () => undefined,
    (error: unknown) => error as WorkflowFailedError,
  );
  return outcome?.cause;
}

describe('temporal workflow start', () => {
  it('runs a cycle at the documented time; whoever starts another meanwhile gets the reason why not', async () => {
    const { scheduledTime } = JSON.parse(documentedJson) as { scheduledTime: string };
    await machine.uploadDay(0, small);
    await startTick('my-tick', documentedJson);
    await machine.livingLaunch();
    const skipped = {
      outcome: 'skipped',
      reason: 'a daily cycle is running already; this tick starts no second one',
    };
    await startTick('my-second-tick', '{"force": true}');
    expect(await resultOf('my-second-tick')).toEqual(skipped);
    expect(await (await startDailyTick(machine.tower.client)).result()).toEqual(skipped);

    const result = await resultOf('my-tick');
    const logicalTime = new Date(scheduledTime).toISOString();
    expect(result).toMatchObject({ outcome: 'ran', cycle: { logicalTime, outcome: 'trained' } });
    const version = `adapter_ft_${logicalTime.slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '_')}`;
    expect(result).toMatchObject({ cycle: { training: { version }, deliveries: [`deliver-adapter/${version}`] } });
    await machine.delivered([`deliver-adapter/${version}`]);
  });

  it('leaves the adapter of an earlier cycle of the same time alone', async () => {
    const [run] = await machine.runs();
    const settled = await readFile(run?.settled ?? '', 'utf8');
    await startTick('my-tick', documentedJson);

    expect(await resultOf('my-tick')).toMatchObject({
      outcome: 'ran',
      cycle: {
        outcome: 'nothing-to-train',
        reason: expect.stringContaining('another scheduledTime') as string,
        deliveries: [],
      },
    });
    expect(await readFile(run?.settled ?? '', 'utf8')).toBe(settled);
    expect(await machine.launches()).toHaveLength(1);
  });

  it.each([
    ['{"scheduledTime": "yesterday"}', 'scheduledTime: expected an ISO 8601 time with its zone'],
    ['{"scheduledTime": "2026-01-31T13:00:00"}', 'scheduledTime: expected an ISO 8601 time with its zone'],
    ['{"scheduledTime": 5}', 'scheduledTime: expected an ISO 8601 time with its zone'],
    ['{"force": "yes"}', 'force: expected true or false, found "yes"'],
    ['{"forced": true}', 'forced: expected one of scheduledTime, force,'],
    ['"now"', 'expected a JSON object, found "now"'],
  ])('fails at once for %s', async (input, message) => {
    await startTick('bad-tick', input);
    const failure = await failureOf(resultOf('bad-tick'));
    expect(failure).toMatchObject({ type: 'BAD_INPUT', message: expect.stringContaining(message) as string });
  });

  it('is not retried when the input of an activity does not fit', async () => {
    const source = { host: 'box', kind: 'guess', path: '/nowhere.jsonl' };
    const named = ['--type', 'importLocalBatch', '--task-queue', 'tower', '--workflow-id', 'bad-import'];
    await temporal('workflow', 'start', ...named, '--input', JSON.stringify(source));
    expect(await failureOf(resultOf('bad-import'))).toMatchObject({ cause: { type: 'BAD_INPUT' } });
  });

  it('refuses a host that is not there', async () => {
    await startTick('far-tick', '{"host": "attic"}');
    expect(await failureOf(resultOf('far-tick'))).toMatchObject({
      cause: { cause: { type: 'UNKNOWN_HOST', message: expect.stringContaining('attic') as string } },
    });
  });
});

it('dailyCycle is refused under another id', async () => {
  await temporal('workflow', 'start', '--type', 'dailyCycle', '--task-queue', 'tower', '--workflow-id', 'my-cycle');
  const failure = await failureOf(machine.tower.client.workflow.getHandle('my-cycle').result());
  expect(failure).toMatchObject({ type: 'WRONG_WORKFLOW_ID', message: expect.stringContaining('dailyTick') as string });
});

describe('the typed functions', () => {
  it('start a cycle once, pause and resume it; Temporal’s own command line does so too', async () => {
    const { client } = machine.tower;
    await machine.uploadDay(1, small);
    const cycle = await startDailyCycle(client);
    await expect(startDailyCycle(client)).rejects.toMatchObject({ code: 'ALREADY_RUNNING' });
    await machine.trainingAtStep(1);

    const paused = await pauseRun(client, 'daily-cycle');
    expect(paused).toMatchObject({ state: 'saved' });
    await expect(pauseRun(client, 'daily-cycle')).rejects.toMatchObject({ code: 'ALREADY_PAUSED' });
    await resumeRun(client, 'daily-cycle');
    await machine.trainingAtStep(paused.step + 1);
    const update = ['workflow', 'update', 'execute', '--workflow-id', 'daily-cycle', '--name'];
    expect(await temporal(...update, 'pause')).toMatchObject({ result: { state: 'saved' } });
    await temporal(...update, 'resume');

    const { training } = await cycle.result();
    expect(training).toMatchObject({ launches: 3, redoneSteps: 0 });
    await expect(resumeRun(client, 'daily-cycle')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });
});

it('tower schedule trigger runs a cycle of the schedule’s time', async () => {
  await machine.tower.tower('schedule', 'apply');
  expect((await machine.tower.tower('schedule', 'trigger', 'daily')).exitCode).toBe(0);
  const schedule = machine.tower.client.schedule.getHandle('tower-daily');
  const action = await waitUntil('the action', async () => (await schedule.describe()).info.recentActions[0]);
  const { workflowId } = action.action.workflow;

  const result = await resultOf(workflowId);

  // The server tells the workflow its time in whole seconds.
  const logicalTime = new Date(Math.floor(action.scheduledAt.getTime() / 1000) * 1000).toISOString();
  expect(workflowId).toBe(`tower-daily-${logicalTime.replace('.000Z', 'Z')}`);
  expect(result).toMatchObject({ outcome: 'ran', cycle: { logicalTime } });
});
