import { join } from 'node:path';

import type { WorkflowHandle } from '@temporalio/client';
import { expect } from 'vitest';

import type { DailyCycleResult } from '../../src/client.js';
import { parseEvent } from '../../src/qlora/parse-event.js';
import type { SimulatedFault } from '../../src/sims/qlora-trainer/config.js';
import type { GuardedProcess } from '../../src/temporal/guarded-process.js';
import { summarizeLaunch } from '../../src/training/launch-summary.js';
import { readLaunches, type Launch } from '../../src/training/launch-record.js';
import { runDirectory, type RunDirectory } from '../../src/training/run-directory.js';
import type { dailyCycle } from '../../src/workflows/daily-cycle.js';
import { readSettled, type Settled } from '../../src/training/settle.js';
import { dailyCycleWorkflowId } from '../../src/workflows/names.js';
import type { DailyMachine } from './daily-machine.js';
import type { Settings } from './tower-machine.js';
import { waitUntil } from './wait-until.js';

/** 100 optimiser steps for any amount of data, a checkpoint every 20: a simulated training takes as long as its test needs. */
export const hundredSteps = { epochs: 100, batchSize: 1000, gradientAccumulation: 1, checkpointEverySteps: 20 };

export interface TrainingDayOptions {
  /** From 0; a later day of the same machine has a higher number. */
  readonly day: number;
  /** Seconds that the whole training takes. */
  readonly seconds: number;
  readonly fault?: SimulatedFault;
  /** More of the table `train`. */
  readonly train?: Settings;
  /** More of the table `server`. */
  readonly server?: Settings;
}

/** One day of a {@link DailyMachine}: new batches, both workers (those of the day before, where they fit), and a cycle that trains. */
export class TrainingDay {
  readonly version: string;
  readonly batches: readonly string[];
  control: GuardedProcess;
  gpu: GuardedProcess;
  readonly #machine: DailyMachine;
  readonly #cycleRunId: string;

  private constructor(
    machine: DailyMachine,
    known: Pick<TrainingDay, 'version' | 'batches' | 'control' | 'gpu'> & { readonly cycleRunId: string },
  ) {
    this.#machine = machine;
    this.version = known.version;
    this.batches = known.batches;
    this.#cycleRunId = known.cycleRunId;
    this.control = known.control;
    this.gpu = known.gpu;
  }

  static async start(
    machine: DailyMachine,
    { day, seconds, fault, train, server = {} }: TrainingDayOptions,
  ): Promise<TrainingDay> {
    const simulatedSecondsPerStep = seconds / hundredSteps.epochs;
    await machine.configure({ train: { simulatedSecondsPerStep, hyperparameters: hundredSteps, ...train }, server });
    const batches = await machine.uploadDay(day);
    const [control, gpu] = await Promise.all([
      machine.tower.ensureControl(),
      fault === undefined ? machine.tower.ensureGpu() : machine.ensureFaultyGpu(fault),
    ]);
    const date = new Date(Date.UTC(2026, 0, 12 + day, 13)).toISOString();
    const { firstExecutionRunId: cycleRunId } = await machine.startCycle({ logicalTime: date, forcePromote: true });
    const version = `adapter_ft_${date.slice(0, 10).replaceAll('-', '')}_130000`;
    return new TrainingDay(machine, { version, batches, cycleRunId, control, gpu });
  }

  /** Made new each time: a server that comes back has a new client. */
  get cycle(): WorkflowHandle<typeof dailyCycle> {
    return this.#machine.tower.client.workflow.getHandle(dailyCycleWorkflowId, this.#cycleRunId);
  }

  /** The launch that trains now, held as soon as its own log tells this step: whether or not anybody follows it. */
  async heldAt(step: number): Promise<Launch> {
    const launch = await this.#machine.livingLaunch();
    await holdTrainer(launch, step);
    return launch;
  }

  /** The launch that trains now, once its trainer has executed some steps. */
  async atStep(step: number): Promise<Launch> {
    await this.#machine.trainingAtStep(step);
    return this.#machine.livingLaunch();
  }

  /** Waits until a later attempt follows the trainer that an earlier one has started. */
  async adopted(): Promise<void> {
    await waitUntil('adoption', async () => {
      const { attempt, progress } = await this.#machine.trainingAtStep(1);
      return attempt > 1 && progress?.adopted === true;
    });
  }

  /** The folder of its training run. */
  get run(): RunDirectory {
    return runDirectory(join(this.#machine.tower.paths.runs, this.version));
  }

  launches(): Promise<Launch[]> {
    return readLaunches(this.run);
  }

  async settled(): Promise<Settled> {
    const settled = await readSettled(this.run);
    if (settled === undefined) throw new Error(`${this.version} has not settled`);
    return settled;
  }

  /** The cycle's result; every planned step is in it exactly once, and every effect on the server happened exactly once. */
  async wholeResult(): Promise<NonNullable<DailyCycleResult['training']>> {
    const { training, deliveries } = await this.cycle.result();
    if (training === undefined) throw new Error(`the cycle of ${this.version} has trained nothing`);
    expect(training).toMatchObject({ version: this.version, plannedSteps: 100, executedSteps: 100 });
    await this.#machine.delivered(deliveries);
    const effects = this.#machine.effects();
    expect(effects).toHaveLength(new Set(effects).size);
    const expected = [
      `/model/upload ${this.version}`,
      ...this.batches.toSorted().map((name) => `/data/mark_batch_processed/{name} ${name}`),
    ];
    // Batches of an earlier day whose cycle failed are marked by this one too.
    expect(effects.filter((effect) => expected.includes(effect))).toEqual(expected);
    return training;
  }

  /** The training has ended as if nothing had happened: this one trainer has executed every step once. */
  async expectUndisturbed({ process }: Launch): Promise<void> {
    expect(await this.wholeResult()).toMatchObject({ launches: 1, redoneSteps: 0 });
    const launches = await this.launches();
    expect(launches.map((launch) => launch.process.trainerPid)).toEqual([process.trainerPid]);
    expect((await this.settled()).steps.segments).toEqual([{ launch: 1, from: 1, to: 100 }]);
  }
}

/**
 * Lets a trainer go on, held or not, until its own log tells this step, and holds it there: nothing of what follows has to be quick.
 *
 * @param step - Default: two more than now, so that it has shown that it trains, whether or not anybody follows it.
 * @returns its last step
 */
export async function holdTrainer(launch: Launch, step?: number): Promise<number> {
  const wanted = step ?? (await lastStep(launch)) + 2;
  releaseTrainer(launch);
  await waitUntil(`step ${wanted} in the log`, async () => (await lastStep(launch)) >= wanted);
  signalTrainer(launch, 'SIGSTOP');
  return lastStep(launch);
}

export function releaseTrainer(launch: Launch): void {
  signalTrainer(launch, 'SIGCONT');
}

function signalTrainer({ process: record }: Launch, signal: NodeJS.Signals): void {
  if (record.trainerPid === null) throw new Error('the launch has no trainer');
  process.kill(record.trainerPid, signal);
}

/** The last step that the trainer's own log tells; 0 before its first. */
async function lastStep({ files }: Launch): Promise<number> {
  const { summary } = await summarizeLaunch(files, { createParser: () => parseEvent });
  return summary.reachedStep;
}
