import { afterAll, beforeAll, expect, it } from 'vitest';

import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import { Ledger } from '../../src/signz-mind/ledger/ledger.js';
import { DailyMachine } from '../support/daily-machine.js';

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create();
  await machine.tower.startControl();
  await machine.tower.startGpu();
});
afterAll(() => machine.close());

it('imports, trains, delivers and marks what editors uploaded', async () => {
  const names = await machine.uploadDay(0);
  const cycle = await machine.startCycle({ logicalTime: '2026-01-12T13:00:00.000Z' });

  const result = await cycle.result();

  expect(result).toMatchObject({ outcome: 'trained', simulated: true, ingest: { imported: names.length } });
  expect(result.training).toMatchObject({ version: 'adapter_ft_20260112_130000', redoneSteps: 0, launches: 1 });
  expect(result.training?.executedSteps).toBe(result.training?.plannedSteps);
  await machine.delivered(result.deliveries);
  expect(machine.effects()).toEqual([
    '/model/upload adapter_ft_20260112_130000',
    ...names.toSorted().map((name) => `/data/mark_batch_processed/{name} ${name}`),
  ]);
  const ledger = Ledger.openReadOnly(machine.tower.paths.ledger);
  try {
    expect(ledger.deliveries.get('adapter_ft_20260112_130000')).toMatchObject({ state: 'marked', attempts: 1 });
    expect(checkLedger(ledger).faults).toEqual([]);
  } finally {
    ledger.close();
  }
});

it('trains nothing and says why when nothing is new, and trains when forced', async () => {
  const unchanged = await (await machine.startCycle({ logicalTime: '2026-01-13T13:00:00.000Z' })).result();
  expect(unchanged).toMatchObject({ outcome: 'nothing-to-train', deliveries: [] });
  expect(unchanged.reason).toContain('unchanged since adapter_ft_20260112_130000');

  const forced = await (await machine.startCycle({ logicalTime: '2026-01-14T13:00:00.000Z', force: true })).result();
  expect(forced).toMatchObject({ outcome: 'trained', reason: 'forced' });
  expect(forced.training?.version).toBe('adapter_ft_20260114_130000');
});
