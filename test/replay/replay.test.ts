import { fileURLToPath } from 'node:url';

import { bundleWorkflowCode, DefaultLogger, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { beforeAll, expect, it } from 'vitest';

import * as workflows from '../../src/workflows/index.js';
import { recordedHistories } from './histories.js';

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

it('notices a workflow that goes another way', async () => {
  const ran = histories.find(({ name }) => name === 'housekeeping');
  const other: unknown = JSON.parse(JSON.stringify(ran?.history).replaceAll('listHostQueues', 'choosePlacement'));
  await expect(Worker.runReplayHistory({ workflowBundle }, other)).rejects.toThrow(/TMPRL1100/);
});
