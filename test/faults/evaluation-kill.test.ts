import { afterAll, beforeAll, expect, it } from 'vitest';

import { livingMembers } from '../../src/gpu/process-table.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { parseEvent } from '../../src/qlora/parse-event.js';
import { summarizeLaunch } from '../../src/training/launch-summary.js';
import { livingLaunches, readLaunches, type Launch } from '../../src/training/launch-record.js';
import { readSettled } from '../../src/training/settle.js';
import { DailyMachine } from '../support/daily-machine.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;
let gpu: GuardedProcess;

beforeAll(async () => {
  machine = await DailyMachine.create({
    settings: {
      data: { heldOutShare: 0.4 },
      train: { simulatedSecondsPerStep: 0.002, hyperparameters: { epochs: 1, batchSize: 4 } },
    },
    environment: { TOWER_SIMULATED_EVALUATION: JSON.stringify({ secondsPerSample: 0.15 }) },
  });
  await machine.tower.startControl();
  gpu = await machine.tower.startGpu();
});
afterAll(() => machine.close());

/** Folder of the newest evaluation. */
async function evaluation() {
  const [newest] = (await machine.evaluations()).slice(-1);
  if (newest === undefined) throw new Error('nothing was evaluated');
  return newest;
}

/** The evaluator that lives now, once it has evaluated two samples. */
function livingEvaluator(): Promise<Launch> {
  return waitUntil('a living evaluator', async () => {
    for (const run of await machine.evaluations()) {
      const [launch] = await livingLaunches(run);
      if (launch === undefined) continue;
      const { summary } = await summarizeLaunch(launch.files, { createParser: () => parseEvent });
      if (summary.reachedStep >= 2) return launch;
    }
    return undefined;
  });
}

it('an evaluator survives its killed worker, and the next one adopts it', async () => {
  await machine.uploadDay(0);
  const cycle = await machine.startCycle({ logicalTime: '2026-01-12T13:00:00.000Z' });
  const launch = await livingEvaluator();
  expect(await machine.gpuState()).toMatchObject({ held: true });
  await machine.tower.kill(gpu);
  expect(livingMembers(launch.process)).toHaveLength(2);
  gpu = await machine.tower.startGpu();

  const { training, deliveries } = await cycle.result();

  expect(training).toMatchObject({ promoted: true, launches: 1 });
  await machine.delivered(deliveries);
  const launches = await readLaunches(await evaluation());
  expect(launches.map(({ process }) => process.trainerPid)).toEqual([launch.process.trainerPid]);
  const settled = await readSettled(await evaluation());
  expect(settled).toMatchObject({ driver: 'evaluation-simulated', simulated: true, launches: 1 });
  expect(settled?.steps).toMatchObject({ planned: 2 * (training?.losses?.samples ?? 0), redone: 0 });
  expect(settled?.steps.executed).toBe(settled?.steps.planned);
});

it('a cancelled cycle stops its evaluator; the next one evaluates the same candidate without training it again', async () => {
  await machine.uploadDay(1);
  const cycle = await machine.startCycle({ logicalTime: '2026-01-13T13:00:00.000Z' });
  const cancelled = await livingEvaluator();
  await cycle.cancel();
  await expect(cycle.result()).rejects.toThrow();
  expect(livingMembers(cancelled.process)).toEqual([]);
  expect(await machine.gpuState()).toMatchObject({ held: false });

  const next = await machine.startCycle({ logicalTime: '2026-01-14T13:00:00.000Z' });
  const killed = await livingEvaluator();
  expect(killed.spec).toMatchObject({ run: cancelled.spec.run, generation: 1 });
  process.kill(-killed.process.pid, 'SIGKILL');

  // Without a state to go on from, it begins anew, and the result is whole.
  const { training, deliveries } = await next.result();
  expect(training).toMatchObject({ version: 'adapter_ft_20260113_130000', launches: 1, promoted: true });
  await machine.delivered(deliveries);
  expect(await readLaunches(await evaluation())).toHaveLength(3);
  const settled = await readSettled(await evaluation());
  expect(settled?.steps.executed).toBe(3 * (training?.losses?.samples ?? 0));
  expect(settled?.steps.redone).toBeGreaterThan(0);
});

it('a pause during an evaluation waits for its end, and delivers after the resume', async () => {
  const version = 'adapter_ft_20260115_130000';
  await machine.uploadDay(2);
  const cycle = await machine.startCycle({ logicalTime: '2026-01-15T13:00:00.000Z' });
  const launch = await livingEvaluator();
  const paused = await machine.tower.tower('pause', 'daily-cycle', '--json');
  expect(paused.exitCode).toBe(0);
  await waitUntil('the end of the evaluation', () => livingMembers(launch.process).length === 0);
  await waitUntil('the decision', () =>
    machine.readLedger((ledger) => ledger.runs.byVersion(version)?.state === 'promoted'),
  );
  expect(machine.effects().some((effect) => effect.includes(version))).toBe(false);
  await machine.tower.tower('resume', 'daily-cycle');
  await machine.delivered((await cycle.result()).deliveries);
  expect(machine.effects()).toContain(`/model/upload ${version}`);
});
