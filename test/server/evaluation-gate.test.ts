import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { DailyCycleInput, DailyCycleResult } from '../../src/client.js';
import type { RunRecord } from '../../src/signz-mind/ledger/runs.js';
import { DailyMachine } from '../support/daily-machine.js';

let machine: DailyMachine;

const versionOf = (day: number) => `adapter_ft_202601${12 + day}_130000`;
/** Days whose candidates the simulated evaluator finds bad. */
const wishes = { worse: [versionOf(1), versionOf(3)], notANumber: [versionOf(4)] };

beforeAll(async () => {
  machine = await DailyMachine.create({
    settings: {
      data: { heldOutShare: 0.4 },
      evaluate: { whenUnmeasured: 'keep-champion' },
      train: { simulatedSecondsPerStep: 0.002, hyperparameters: { epochs: 1, batchSize: 4 } },
    },
    environment: { TOWER_SIMULATED_EVALUATION: JSON.stringify(wishes) },
  });
  await Promise.all([machine.tower.startControl(), machine.tower.startGpu()]);
});
afterAll(() => machine.close());

const runOf = (day: number): RunRecord | undefined =>
  machine.readLedger((ledger) => ledger.runs.byVersion(versionOf(day)));
const championVersion = () => machine.readLedger((ledger) => ledger.runs.champion()?.version);

async function runDay(day: number, input: DailyCycleInput = {}): Promise<DailyCycleResult & { uploaded: string[] }> {
  const batches = await machine.uploadDay(day);
  const before = machine.effects().length;
  const cycle = await machine.startCycle({ logicalTime: `2026-01-${12 + day}T13:00:00.000Z`, ...input });
  const result = await cycle.result();
  await machine.delivered(result.deliveries);
  const effects = machine.effects().slice(before);
  // Whatever is decided, what editors uploaded is settled and marked, once.
  expect(effects.filter((effect) => effect.startsWith('/data/')).toSorted()).toEqual(
    batches.map((name) => `/data/mark_batch_processed/{name} ${name}`).toSorted(),
  );
  return { ...result, uploaded: effects.filter((effect) => effect.startsWith('/model/')) };
}

describe('the gate of the daily cycle', () => {
  it('promotes and delivers a first adapter that is better than the base model', async () => {
    const { training, uploaded } = await runDay(0);
    expect(training).toMatchObject({ promoted: true, forced: false, champion: null, losses: { champion: null } });
    expect(training?.losses?.candidateMinusBase.high).toBeLessThan(0);
    expect(uploaded).toEqual([`/model/upload ${versionOf(0)}`]);
    expect(championVersion()).toBe(versionOf(0));
  });

  it('rejects a candidate worse than the champion: not uploaded, its batches settled and marked, its files kept', async () => {
    const { training, uploaded, deliveries, outcome, reason } = await runDay(1);
    expect(training).toMatchObject({ promoted: false, champion: versionOf(0) });
    expect(training?.losses?.candidateMinusChampion?.low).toBeGreaterThan(0);
    expect({ uploaded, deliveries, outcome }).toEqual({ uploaded: [], deliveries: [], outcome: 'trained' });
    expect(reason).toMatch(/; not promoted: not better than the champion adapter_ft_20260112_130000 beyond noise/);

    const run = runOf(1);
    expect(run).toMatchObject({ state: 'rejected', champion: false, reason: training?.promotionReason });
    expect(run?.metrics).toMatchObject({
      comparedWith: versionOf(0),
      candidateLoss: training?.losses?.candidate.value,
      championLoss: training?.losses?.champion?.value,
      evaluatedSamples: training?.losses?.samples,
    });
    expect(machine.lastCycle()?.reason).toBe(reason);
    expect(existsSync(join(machine.tower.paths.runs, versionOf(1), 'output', 'adapter'))).toBe(true);
    expect(championVersion()).toBe(versionOf(0));

    const again = await (await machine.startCycle({ logicalTime: '2026-01-13T14:00:00.000Z' })).result();
    expect(again).toMatchObject({ outcome: 'nothing-to-train', deliveries: [] });
  });

  it('compares the next candidate with the champion, not with the one it has rejected, and a better one replaces it', async () => {
    const { training, uploaded } = await runDay(2);
    expect(training).toMatchObject({ promoted: true, champion: versionOf(0) });
    expect(training?.losses?.candidateMinusChampion?.high).toBeLessThan(0);
    expect(uploaded).toEqual([`/model/upload ${versionOf(2)}`]);
    expect(championVersion()).toBe(versionOf(2));
  });

  it('a person can force what the gate would reject, and it is recorded as forced', async () => {
    const { training, uploaded } = await runDay(3, { forcePromote: true });
    expect(training).toMatchObject({ promoted: true, forced: true, champion: versionOf(2) });
    expect(training?.losses?.candidateMinusChampion?.low).toBeGreaterThan(0);
    expect(uploaded).toEqual([`/model/upload ${versionOf(3)}`]);
    const run = runOf(3);
    expect(run).toMatchObject({ state: 'promoted', champion: true, metrics: { forced: true } });
    expect(run?.reason).toMatch(/^forced by a person; the gate: not better than the champion/);
  });

  it('rejects a candidate whose loss is not a number', async () => {
    const { training, uploaded } = await runDay(4);
    expect(training).toMatchObject({
      promoted: false,
      losses: null,
      promotionReason: 'the held-out loss of candidate is not a number',
    });
    expect(uploaded).toEqual([]);
  });
});
