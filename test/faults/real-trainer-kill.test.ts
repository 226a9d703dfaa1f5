import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';

import { cacheDirectory } from '../../src/config/locations.js';
import { checkAdapter } from '../../src/qlora/adapter-check.js';
import { makeTinyModel } from '../../src/qlora/tiny-model.js';
import { ensureTrainerEnvironment } from '../../src/toolchain/python-environment.js';
import { DailyMachine } from '../support/daily-machine.js';
import { holdTrainer, releaseTrainer } from '../support/training-day.js';
import { waitUntil } from '../support/wait-until.js';

/** The real trainer computes: on a loaded machine it takes many times longer than its 40 s. */
const trainingTimeoutMs = 600_000;
/** Building the trainer's environment for the first time takes minutes. */
const environmentTimeoutMs = 900_000;

let machine: DailyMachine;

// Long enough, some seconds, that the training still runs when its worker is dead.
const hyperparameters = { epochs: 20, batchSize: 4, maxLength: 128, learningRate: 2e-3 };
// Several threads wait for each other by computing, which other tests pay for.
const environment = { OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' };

beforeAll(async () => {
  const { signal } = new AbortController();
  const { python } = await ensureTrainerEnvironment(
    { device: 'cpu', cacheDirectory: cacheDirectory(process.env) },
    { signal, log: pino({ level: 'silent' }) },
  );
  machine = await DailyMachine.create({ environment });
  await makeTinyModel(join(machine.tower.home, 'tiny-llama'), { python, signal });
}, environmentTimeoutMs);
afterEach(() => machine.tower.stopWorkers());
afterAll(() => machine.close());

it(
  'an unknown model ends the cycle with its name and the next step; no batch is marked',
  { timeout: trainingTimeoutMs },
  async () => {
    await train('no-such-organisation/no-such-model');
    const batches = await machine.uploadDay(0);
    await Promise.all([machine.tower.startGpu(), machine.tower.startControl()]);
    const cycle = await machine.startCycle({ logicalTime: '2026-01-11T13:00:00.000Z' });

    await expect(cycle.result()).rejects.toThrow();

    const { outcome, reason } = machine.lastCycle() ?? {};
    expect(outcome).toBe('failed');
    expect(reason).toMatch(/cannot load the base model no-such-organisation\/no-such-model/);
    expect(machine.effects()).toEqual([]);
    expect(machine.readLedger((ledger) => batches.map((name) => ledger.batches.get(name)?.state))).toEqual(
      batches.map(() => 'imported'),
    );
    expect(await machine.launches()).toHaveLength(1);
  },
);

it(
  'a real QLoRA training outlives kill -9 of its worker and ends with a valid adapter',
  { timeout: trainingTimeoutMs },
  async () => {
    await train(join(machine.tower.home, 'tiny-llama'));
    const [gpu] = await Promise.all([machine.tower.startGpu(), machine.tower.startControl()]);
    const cycle = await machine.startCycle({ logicalTime: '2026-01-12T13:00:00.000Z' });
    const { progress } = await machine.trainingAtStep(1);
    const launch = await machine.livingLaunch();
    await machine.tower.kill(gpu);
    await holdTrainer(launch);
    await machine.tower.startGpu();
    await waitUntil('adoption', async () => (await machine.trainingAtStep(1)).progress?.adopted);
    releaseTrainer(launch);

    const { training, simulated, deliveries } = await cycle.result();

    expect(simulated).toBe(false);
    expect(training).toMatchObject({ launches: 1, redoneSteps: 0, plannedSteps: progress?.total });
    expect(training?.executedSteps).toBe(training?.plannedSteps);
    const launches = await machine.launches();
    expect(launches.at(-1)?.process.trainerPid).toBe(launch.process.trainerPid);
    const settled = await machine.settled();
    expect(settled).toMatchObject({ driver: 'qlora', simulated: false });
    expect(await checkAdapter(settled.artefact.path, { simulated: false })).toMatchObject({
      valid: true,
      sha256: settled.artefact.sha256,
    });
    expect(await readFile(launch.files.stdout, 'utf8')).not.toContain('"simulated":true');
    await machine.delivered(deliveries);
    expect(machine.effects()[0]).toBe('/model/upload adapter_ft_20260112_130000');
  },
);

async function train(baseModel: string): Promise<void> {
  await machine.configure({
    train: { trainer: 'qlora', device: 'cpu', hyperparameters: { baseModel, ...hyperparameters } },
  });
}
