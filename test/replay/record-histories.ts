import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, it } from 'vitest';

import { pauseRun, resumeRun, startDailyTick } from '../../src/client.js';
import { editorBatches } from '../../src/sims/signz-mind/editor-batches.js';
import type { DailyTickResult } from '../../src/workflows/daily-tick.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';
import { writeHistory } from './write-history.js';

/** Run by `npm run record-histories`, not by the tests. */

const small = { clients: 1, filesPerDay: 4 };
let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create({ settings: { train: { simulatedSecondsPerStep: 0.1 } } });
  await machine.tower.startControl();
  await machine.tower.startGpu();
});
afterAll(() => machine.close());

async function record(name: string, workflowId: string): Promise<void> {
  await writeHistory(machine.tower.client, name, workflowId);
}

async function closed(workflowId: string): Promise<void> {
  await waitUntil(`the end of ${workflowId}`, async () => {
    const { status } = await machine.tower.client.workflow.getHandle(workflowId).describe();
    return status.name !== 'RUNNING';
  });
}

async function recordClosed(name: string, workflowId: string): Promise<void> {
  await closed(workflowId);
  await record(name, workflowId);
}

let firstVersion = '';

it('a tick that runs a cycle, one that is skipped, the delivery', async () => {
  const { client } = machine.tower;
  await machine.uploadDay(0, small);
  const tick = await startDailyTick(client);
  await machine.livingLaunch();
  const skipped = await startDailyTick(client);
  const result: DailyTickResult = await tick.result();
  if (result.outcome !== 'ran') throw new Error('the first tick was skipped');
  await record('daily-tick-ran', tick.workflowId);
  await recordClosed('daily-tick-skipped', skipped.workflowId);
  await record('daily-cycle-trained', 'daily-cycle');
  const [delivery = ''] = result.cycle.deliveries;
  await recordClosed('deliver-adapter', delivery);
  firstVersion = result.cycle.training?.version ?? '';
});

it('a cycle with a pause', async () => {
  const { client } = machine.tower;
  await machine.uploadDay(1, small);
  const cycle = await machine.startCycle();
  await machine.trainingAtStep(2);
  await pauseRun(client, 'daily-cycle');
  await resumeRun(client, 'daily-cycle');
  await machine.delivered((await cycle.result()).deliveries);
  await record('daily-cycle-paused', 'daily-cycle');
});

it('a cycle without anything new, and one that was cancelled', async () => {
  await machine.startCycle();
  await recordClosed('daily-cycle-nothing-to-train', 'daily-cycle');
  await machine.uploadDay(2, small);
  const cycle = await machine.startCycle();
  await machine.trainingAtStep(2);
  await cycle.cancel();
  await recordClosed('daily-cycle-cancelled', 'daily-cycle');
});

it('what else there is', async () => {
  const options = { taskQueue: 'tower', workflowId: 'recorded' };
  await machine.tower.client.workflow.execute('housekeeping', options);
  await record('housekeeping', 'recorded');

  const file = join(machine.tower.home, 'local.jsonl');
  await writeFile(file, editorBatches({ seed: 'local', day: 0, clients: 1 })[0]?.content ?? '');
  const imported = { host: 'box', kind: 'file', path: file };
  await machine.tower.client.workflow.execute('importLocalBatch', { ...options, args: [imported] });
  await record('import-local-batch', 'recorded');

  const edit = { edit: 'rollback', version: firstVersion, reason: 'recorded', deliver: true };
  await machine.tower.client.workflow.execute('editLedger', { ...options, args: [{ host: 'box', edit }] });
  await record('edit-ledger', 'recorded');
});
