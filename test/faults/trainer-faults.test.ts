import { readFile } from 'node:fs/promises';

import { WorkflowFailedError } from '@temporalio/client';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { failureOf, type FailureText } from '../../src/cli/runs/workflow-failure.js';
import { takeSnapshot } from '../../src/cli/runs/workflow-snapshot.js';
import { livingMembers } from '../../src/gpu/process-table.js';
import { checkLedger } from '../../src/signz-mind/ledger/check.js';
import { DailyMachine } from '../support/daily-machine.js';
import { hundredSteps, TrainingDay, type TrainingDayOptions } from '../support/training-day.js';
import { waitUntil } from '../support/wait-until.js';

let machine: DailyMachine;

beforeAll(async () => {
  machine = await DailyMachine.create();
});
afterAll(() => machine.close());

/** The same settings for all: a worker is started anew only where it has another fault. */
const train = { hyperparameters: { ...hundredSteps, gradientCheckpointing: false } };
const start = (options: Omit<TrainingDayOptions, 'seconds'>) =>
  TrainingDay.start(machine, { train, ...options, seconds: 1 });

/** Why the cycle failed, as commands show it. */
async function failureOfCycle({ cycle }: TrainingDay): Promise<FailureText> {
  const error: unknown = await cycle.result().catch((reason: unknown) => reason);
  if (!(error instanceof WorkflowFailedError)) throw new Error(`expected a failed cycle, found ${String(error)}`);
  return failureOf(error.cause);
}

it('out of memory walks down the ladder, one recorded rung for each start', async () => {
  const training = await start({ day: 0, fault: { kind: 'out-of-memory', atStep: 31, untilLaunch: 2 } });

  expect(await training.wholeResult()).toMatchObject({ launches: 3, redoneSteps: 20 });

  const launches = await training.launches();
  expect(launches.map(({ spec }) => spec.memoryRung)).toEqual([0, 1, 2]);
  expect(launches.map(({ fault }) => fault?.class)).toEqual(['out-of-memory', 'out-of-memory', undefined]);
  expect((await training.settled()).memoryRung).toBe(2);
  const arguments_ = await Promise.all(
    launches.map(async ({ files }) => (JSON.parse(await readFile(files.spec, 'utf8')) as { argv: string[] }).argv),
  );
  expect(arguments_[1]).toContain('gradientCheckpointing=true');
  expect(arguments_[2]).toEqual(expect.arrayContaining(['gradientCheckpointing=true', 'batchSize=1']));
});

it('a training that diverges is not tried again: the cycle fails and says what to do', async () => {
  const training = await start({ day: 1, fault: { kind: 'diverge', atStep: 10 } });

  const failure = await failureOfCycle(training);

  expect(failure.code).toBe('TRAINER_DIVERGED');
  expect(failure.message).toContain('the loss of step 10 is NaN');
  expect(failure.next).toBe('Lower the learning rate or look at the data, then start the run again.');
  expect(await training.launches()).toHaveLength(1);
  expect(machine.lastCycle()).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('NaN') as string });
  expect(await machine.gpuState()).toMatchObject({ held: false });
});

it('W18: a trainer that refuses its configuration is not tried again, and no batch is marked', async () => {
  // No such kind: the trainer ends like the real one that meets a setting it does not know.
  const fault = { kind: 'no-such-fault' } as unknown as { kind: 'crash' };
  const training = await start({ day: 2, fault });

  const failure = await failureOfCycle(training);

  expect(failure.code).toBe('TRAINER_BAD_CONFIG');
  expect(failure.message).toContain('unknown no-such-fault');
  expect(failure.next).toContain('Correct the setting');
  expect(await training.launches()).toHaveLength(1);
  const marked = machine.effects().join(' ');
  expect(training.batches.filter((name) => marked.includes(name))).toEqual([]);
  const states = machine.readLedger(({ batches }) => training.batches.map((name) => batches.get(name)?.state));
  expect(new Set(states)).toEqual(new Set(['imported']));
});

it('W18: with marking after the import, too, nothing is marked before libraries, model and settings have proven themselves', async () => {
  const fault = { kind: 'no-such-fault' } as unknown as { kind: 'crash' };
  const training = await start({ day: 4, fault, server: { markAfter: 'import' } });

  expect((await failureOfCycle(training)).code).toBe('TRAINER_BAD_CONFIG');

  const marked = machine.effects().join(' ');
  expect(training.batches.filter((name) => marked.includes(name))).toEqual([]);
});

it('a disk that fills up inside the training: the cycle says so and waits; the next one has all its batches', async () => {
  const fault = { kind: 'disk-full', atStep: 31, onlyOnLaunch: 1 } as const;
  const full = await start({ day: 5, fault });
  const waiting = await waitUntil('the attempt that found the disk full', async () => {
    const { activities } = await takeSnapshot(machine.tower.client, 'daily-cycle');
    return activities.find(({ lastFailure }) => lastFailure !== null)?.lastFailure ?? undefined;
  });
  expect(waiting.message).toMatch(/No space left on device/);
  await full.cycle.cancel();
  await full.cycle.result().catch(() => undefined);

  const next = await start({ day: 6 });
  expect(await next.wholeResult()).toMatchObject({ launches: 1, redoneSteps: 0 });
  const { states, faults } = machine.readLedger((ledger) => ({
    states: [...full.batches, ...next.batches].map((name) => ledger.batches.get(name)?.state),
    faults: checkLedger(ledger).faults,
  }));
  expect(new Set(states)).toEqual(new Set(['marked']));
  expect(faults).toEqual([]);
});

it('a trainer that hangs, deaf to SIGTERM and with a child, is ended to the last process and resumed', async () => {
  const fault = { kind: 'ignore-sigterm-with-grandchild', atStep: 31, onlyOnLaunch: 1 } as const;
  const training = await start({ day: 3, fault, train: { ...train, stallMinutes: 0.25 } });

  expect(await training.wholeResult()).toMatchObject({ launches: 2, redoneSteps: 10 });

  const [first, second] = await training.launches();
  expect(first?.fault?.class).toBe('stalled');
  expect(first && livingMembers(first.process)).toEqual([]);
  expect(second?.spec.resume?.step).toBe(20);
});
