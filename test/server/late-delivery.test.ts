import { afterAll, beforeAll, expect, it } from 'vitest';

import type { Fault } from '../../src/sims/signz-mind/faults.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';

const uploadRoute = '/model/upload';
const markRoute = '/data/mark_batch_processed/{name}';
const away: Fault = { kind: 'reset', when: 'before-acting' };
const versionOf = (day: number) => `adapter_ft_202601${12 + day}_130000`;

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create({
    settings: {
      data: { heldOutShare: 0.4 },
      train: { simulatedSecondsPerStep: 0.002, hyperparameters: { epochs: 1, batchSize: 4 } },
    },
  });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
});
afterAll(() => machine.close());

it('a server that goes away after the training gets the adapter when it is back, from the same training', async () => {
  const batches = await machine.uploadDay(0);
  machine.faults = ({ route }) => (route === uploadRoute || route === markRoute ? away : undefined);
  const { training, deliveries, outcome } = await runDay(0);
  expect(outcome).toBe('trained');
  expect(training).toMatchObject({ version: versionOf(0), promoted: true });

  // The cycle is over; the delivery waits and says for what.
  const delivery = machine.tower.client.workflow.getHandle(deliveries[0] ?? '');
  const failure = await pendingFailure(deliveries[0] ?? '', 2);
  expect(failure).toContain('the connection failed');
  expect(machine.effects()).toEqual([]);
  // Hours later and after many attempts: the server is back, and the next attempt is due.
  machine.faults = undefined;
  await delivery.result();

  expect(machine.effects()).toEqual([`${uploadRoute} ${versionOf(0)}`, ...marksOf(batches)]);
  expect(await machine.launches()).toHaveLength(1);
  expect(machine.readLedger((ledger) => ledger.deliveries.get(versionOf(0)))).toMatchObject({ state: 'marked' });
});

it('the next day’s better adapter replaces one that was not delivered, and its batches are marked with it', async () => {
  const before = machine.effects().length;
  const first = await machine.uploadDay(1);
  machine.faults = ({ route }) => (route === uploadRoute || route === markRoute ? away : undefined);
  const undelivered = await runDay(1);
  await pendingFailure(undelivered.deliveries[0] ?? '', 1);
  const second = await machine.uploadDay(2);
  const next = await runDay(2);
  machine.faults = undefined;
  await machine.delivered(next.deliveries);

  expect(next.deliveries).toEqual([`deliver-adapter/${versionOf(2)}`]);
  const older = machine.tower.client.workflow.getHandle(undelivered.deliveries[0] ?? '');
  await expect(older.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
  expect(machine.effects().slice(before)).toEqual([
    `${uploadRoute} ${versionOf(2)}`,
    ...marksOf(first),
    ...marksOf(second),
  ]);
  const { superseded, reasons } = machine.readLedger((ledger) => ({
    superseded: ledger.deliveries.get(versionOf(1)),
    reasons: [...first, ...second].map((name) => ledger.batches.get(name)?.settledReason),
  }));
  expect(superseded).toMatchObject({ state: 'superseded', reason: `replaced by ${versionOf(2)}` });
  expect(new Set(reasons)).toEqual(new Set([`in the delivered adapter ${versionOf(2)}`]));
});

async function runDay(day: number) {
  const cycle = await machine.startCycle({ logicalTime: `2026-01-${12 + day}T13:00:00.000Z` });
  return cycle.result();
}

/** What the pending activity of a delivery failed with, once it was tried so often. */
function pendingFailure(workflowId: string, attempts: number): Promise<string> {
  const handle = machine.tower.client.workflow.getHandle(workflowId);
  return waitUntil(`${attempts} failed attempts of ${workflowId}`, async () => {
    const { raw } = await handle.describe();
    const [pending] = raw.pendingActivities ?? [];
    return (pending?.attempt ?? 0) > attempts && (pending?.lastFailure?.message ?? undefined);
  });
}

function marksOf(names: readonly string[]): string[] {
  return names.toSorted().map((name) => `${markRoute} ${name}`);
}
