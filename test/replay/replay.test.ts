import { fileURLToPath } from 'node:url';

import { bundleWorkflowCode, DefaultLogger, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { beforeAll, expect, it } from 'vitest';

import * as workflows from '../../src/workflows/index.js';
import { recordedHistories, type RecordedHistory } from './histories.js';

const histories = recordedHistories();
let workflowBundle: WorkflowBundle;

beforeAll(async () => {
  const logger = new DefaultLogger('ERROR');
  // The last test provokes a warning.
  Runtime.install({ logger, telemetryOptions: { logging: { filter: 'OFF' } } });
  const workflowsPath = fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url));
  workflowBundle = await bundleWorkflowCode({ workflowsPath, logger });
});

it('has a history of every workflow type', () => {
  const recorded = new Set(histories.map(({ workflowType }) => workflowType));
  expect([...recorded].sort()).toEqual(Object.keys(workflows).sort());
});

it.each(histories)('$name replays with the workflows as they are now', async ({ history, workflowId }) => {
  await expect(Worker.runReplayHistory({ workflowBundle }, history, workflowId)).resolves.toBeUndefined();
});

it.each(['consume-prompts', 'prompt-tick-ran'])(
  '%s goes on where it began with the prefix of its wrapper',
  async (name) => {
    const recorded = histories.find((history) => history.name === name);
    const prefixed = (text = '') => text.replaceAll('syntx-consume/sigma', 'syntx-consume/syntex_wrapper_sigma');
    const history = JSON.parse(prefixed(JSON.stringify(recorded?.history))) as RecordedHistory['history'];
    const started = history.events[0]?.['workflowExecutionStartedEventAttributes'];
    const [input] = (started as { input: { payloads: { data: string }[] } }).input.payloads;
    const given = Buffer.from(input!.data, 'base64').toString().replace('"sigma"', '"syntex_wrapper_sigma"');
    input!.data = Buffer.from(given).toString('base64');
    const replayed = Worker.runReplayHistory({ workflowBundle }, history, prefixed(recorded?.workflowId));
    await expect(replayed).resolves.toBeUndefined();
  },
);

it('notices a workflow that goes another way', async () => {
  const ran = histories.find(({ name }) => name === 'housekeeping');
  const other: unknown = JSON.parse(JSON.stringify(ran?.history).replaceAll('listHostQueues', 'choosePlacement'));
  await expect(Worker.runReplayHistory({ workflowBundle }, other)).rejects.toThrow(/TMPRL1100/);
});
