import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, expect, it } from 'vitest';

import { sha256Of, sha256OfFile } from '../../src/files/sha256.js';
import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { DailyMachine } from '../support/daily-machine.js';
import { dumpLedger } from '../support/ledger-dump.js';

const killer = fileURLToPath(new URL('fixtures/die-at-point.js', import.meta.url));
const version = 'adapter_ft_20260112_130000';

/** The boundaries between stages: the effect of one is there, but not reported, and the next has not begun. */
const boundaries = [
  ...[
    'ingestBatches after',
    'planTraining after',
    'trainAdapter after',
    'recordTraining after',
    'planEvaluation after',
  ],
  ...['evaluateAdapter after', 'decidePromotion after', 'packageAdapter after'],
  ...['uploadAdapter after', 'markSettledBatches after', 'recordCycle after'],
];
/** In the middle: between an effect outside the ledger and its record, or between two records. */
const middles = [
  ...['ingestBatches statement 9', 'decidePromotion statement 3'],
  ...['packageAdapter statement 1', 'uploadAdapter statement 4', 'markSettledBatches statement 1'],
];

let machines: DailyMachine[] = [];
afterEach(async () => {
  await Promise.all(machines.map((machine) => machine.close()));
  machines = [];
});

it(
  'killed -9 at every boundary between stages and inside of each, a cycle ends as if nothing had happened',
  { timeout: 400_000 },
  async () => {
    const points = [...boundaries, ...middles];
    const quiet = await createMachine({});
    const deadly = await createMachine({ DEATH_POINTS: JSON.stringify(points) });
    const [undisturbed, disturbed] = await Promise.all([runCycle(quiet), runCycle(deadly)]);

    expect(disturbed.deaths.toSorted()).toEqual(points.toSorted());
    expect(disturbed.ledger).toBe(undisturbed.ledger);
    expect(disturbed.server).toEqual(undisturbed.server);
    expect(disturbed.adapter).toBe(undisturbed.adapter);
    expect(disturbed.effects).toEqual(undisturbed.effects);
  },
);

async function createMachine(environment: Readonly<Record<string, string>>): Promise<DailyMachine> {
  const machine = await DailyMachine.create({
    inMemory: true,
    environment: { ...environment, NODE_OPTIONS: `--import ${killer}` },
    now: () => new Date('2026-01-12T12:00:00Z'),
    settings: { worker: { heartbeatSeconds: 0.2 }, data: { heldOutShare: 0.3 } },
  });
  machines.push(machine);
  return machine;
}

/** One whole cycle with its delivery; workers that die are started again until it is over. */
async function runCycle(machine: DailyMachine) {
  const deathsFile = join(machine.tower.home, 'deaths');
  await machine.uploadDay(0);
  let over = false;
  const alive = async (start: () => Promise<GuardedProcess>) => {
    while (!over) await (await start()).exited;
  };
  const own = { DEATHS: deathsFile };
  const living = [alive(() => machine.tower.startControl(own)), alive(() => machine.tower.startGpu(0, own))];
  const cycle = await machine.startCycle({ logicalTime: '2026-01-12T13:00:00.000Z' });
  const { deliveries } = await cycle.result();
  await machine.delivered(deliveries);
  over = true;
  await machine.tower.stopWorkers();
  await Promise.all(living);

  expect(machine.readLedger((ledger) => checkLedger(ledger).faults)).toEqual([]);
  const adapter = join(machine.tower.paths.runs, version, 'output', 'adapter', 'adapter_model.safetensors');
  return {
    deaths: existsSync(deathsFile) ? readFileSync(deathsFile, 'utf8').trim().split('\n') : [],
    ledger: comparable(dumpLedger(machine.tower.paths.ledger)),
    server: serverFiles(join(machine.tower.home, 'signz-mind')),
    adapter: await sha256OfFile(adapter),
    // A key that may not look at models has to send again what it does not know to have arrived.
    effects: [...new Set(machine.effects())],
  };
}

/** How often a delivery was tried, and by what its end was known, may differ. */
function comparable(ledger: string): string {
  return ledger.replace(/^(deliveries .*"attempts":)\d+(.*"reason":)"[^"]*"/gm, '$1…$2…');
}

/** What the server has, file by file, with the content of its models. */
function serverFiles(directory: string): Record<string, string[]> {
  const folders = ['data_batches', 'data_batches/processed_by_tower', 'uploaded_models'];
  const entry = (folder: string, name: string) =>
    folder === 'uploaded_models' ? `${name} ${sha256Of(readFileSync(join(directory, folder, name)))}` : name;
  return Object.fromEntries(
    folders.map((folder) => [
      folder,
      readdirSync(join(directory, folder))
        .map((name) => entry(folder, name))
        .sort(),
    ]),
  );
}
