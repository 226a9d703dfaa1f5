import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, it } from 'vitest';

import { livingMembers } from '../../src/gpu/process-table.js';
import { Ledger } from '../../src/signz-mind/ledger/ledger.js';
import { temporalDirectory } from '../../src/temporal/server-file.js';
import { DailyMachine } from '../support/daily-machine.js';
import type { UpProcess } from '../support/up-process.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;
let up: UpProcess;
const uploaded: string[] = [];

beforeAll(async () => {
  machine = await DailyMachine.create({ serverless: true, settings: { train: { simulatedSecondsPerStep: 0.05 } } });
  up = await machine.tower.startUp();
});
afterAll(() => machine.close());

async function uploadDay(day: number): Promise<void> {
  uploaded.push(...(await machine.uploadDay(day, { clients: 2, filesPerDay: 6 })));
}

/** Ends Tower, removes everything that Temporal knows, and starts Tower again. */
async function loseDatabase(): Promise<void> {
  up.signal('SIGINT');
  expect((await up.ended).exitCode).toBe(0);
  const directory = temporalDirectory(machine.tower.home);
  const files = (await readdir(directory)).filter((name) => name.includes('.db'));
  expect(files).not.toEqual([]);
  for (const file of files) await rm(join(directory, file));
  up = await machine.tower.startUp();
  const { executions } = await machine.tower.client.workflowService.listWorkflowExecutions({ namespace: 'default' });
  expect(executions).toEqual([]);
}

/** Runs a cycle to its end, deliveries too. */
async function runCycle() {
  const cycle = await machine.startCycle();
  const result = await cycle.result();
  await machine.delivered(result.deliveries);
  return result;
}

/** Every batch downloaded once and marked once, every version uploaded once: by the server's own log. */
function expectNothingTwice(versions: readonly string[]): void {
  const done = machine.signz.operations().filter(({ user, status }) => user === 'tower' && status < 400);
  const names = (route: string) => done.filter((operation) => operation.route === route).map(({ name }) => name);
  const batches = uploaded.toSorted();
  expect(names('/data/download_batch/{name}').toSorted()).toEqual(batches);
  expect(names('/data/mark_batch_processed/{name}').toSorted()).toEqual(batches);
  expect(names('/model/upload')).toEqual(versions);
  expect(ledgerBatches()).toEqual(batches.map((name) => ({ name, state: 'marked' })));
}

function ledgerBatches(): { name: string; state: string }[] {
  const ledger = Ledger.openReadOnly(machine.tower.paths.ledger);
  const snapshot = ledger.openSnapshot();
  try {
    return snapshot.all('SELECT name, state FROM batches ORDER BY name');
  } finally {
    snapshot.close();
    ledger.close();
  }
}

let first: string;
let second: string;

it('delivers what was not delivered, and does nothing else again, when the database is gone between two cycles', async () => {
  await uploadDay(0);
  const before = await runCycle();
  first = before.training?.version ?? '';
  expectNothingTwice([first]);
  await machine.tower.tower('schedule', 'pause', 'housekeeping', '--note', 'on holiday');

  await uploadDay(1);
  machine.faults = ({ route }) => (route === '/model/upload' ? { kind: 'status', status: 503 } : undefined);
  const stuck = await (await machine.startCycle()).result();
  second = stuck.training?.version ?? '';
  expect(stuck.deliveries).toEqual([`deliver-adapter/${second}`]);
  await loseDatabase();
  machine.faults = undefined;

  const after = await runCycle();
  expect(after).toMatchObject({ outcome: 'nothing-to-train', ingest: { imported: 0 }, deliveries: stuck.deliveries });
  expectNothingTwice([first, second]);
  expect(await machine.launches()).toHaveLength(2);
});

it('applies the schedules again, and the pause of one', async () => {
  const { stdout } = await machine.tower.tower('schedule', 'list', '--json');
  expect(JSON.parse(String(stdout))).toMatchObject({
    schedules: [
      { name: 'daily', state: 'active' },
      { name: 'housekeeping', state: 'paused', note: 'on holiday' },
    ],
  });
});

it('goes on with the training under its own name when the database is gone in the middle of it', async () => {
  await uploadDay(2);
  await machine.startCycle();
  await machine.trainingAtStep(25);
  const { spec, process: trainer } = await machine.livingLaunch();
  // It must not end by itself before Tower is back, however slow this machine is.
  process.kill(trainer.trainerPid ?? 0, 'SIGSTOP');
  await loseDatabase();
  // Nobody owns the trainer that went on under all this.
  await waitUntil('the end of the ownerless trainer', () => livingMembers(trainer).length === 0);

  const { training } = await runCycle();

  expect(training).toMatchObject({ version: spec.run, launches: 2 });
  expect(training?.executedSteps).toBe(training?.plannedSteps);
  const [, resumed] = (await machine.launches()).filter((launch) => launch.spec.run === spec.run);
  expect(resumed?.spec.resume?.step).toBeGreaterThanOrEqual(20);
  expectNothingTwice([first, second, spec.run]);
});
