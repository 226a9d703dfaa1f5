import { z } from 'zod';

import { TowerError } from '../errors.js';

/** What one launch proves about optimiser steps. */
export interface LaunchSteps {
  readonly launch: number;
  /** The state Tower told it to go on from; 0 for a fresh start. */
  readonly toldToResumeFrom: number;
  /** What the trainer said; `undefined` when it ended before it said anything. */
  readonly resumedFrom: number | undefined;
  readonly planned: number | undefined;
  /** The highest step that its events prove. */
  readonly reached: number;
}

/** Optimiser steps `from` to `to`, both included, executed by one launch and kept in the result. */
const segmentSchema = z.object({
  launch: z.int().positive(),
  from: z.int().positive(),
  to: z.int().positive(),
});
export type Segment = z.output<typeof segmentSchema>;

export const stepLedgerSchema = z.object({
  planned: z.int().nonnegative(),
  /** Steps inside the result: the sum of the segments. */
  executed: z.int().nonnegative(),
  /** Steps that were executed and lost, because they came after the last complete state. */
  redone: z.int().nonnegative(),
  segments: z.array(segmentSchema),
});
export type StepLedger = z.output<typeof stepLedgerSchema>;

/**
 * Joins the launches of a run, in order of their start: each one cuts away what earlier ones did after the state it goes
 * on from. A complete state that Tower verified proves its steps even when their log lines were lost in a crash.
 *
 * @throws TowerError `STEP_LEDGER_BROKEN` when a trainer went on from another step than told, or changed the plan.
 */
export function buildStepLedger(launches: readonly LaunchSteps[]): StepLedger {
  let segments: Segment[] = [];
  let redone = 0;
  let planned: number | undefined;
  for (const launch of launches) {
    const { resumedFrom } = launch;
    if (resumedFrom === undefined || launch.planned === undefined) continue;
    if (resumedFrom !== launch.toldToResumeFrom) {
      throw broken(
        `launch ${launch.launch} was told to go on from step ${launch.toldToResumeFrom}, but went on from ${resumedFrom}`,
      );
    }
    if (planned !== undefined && planned !== launch.planned) {
      throw broken(`launch ${launch.launch} plans ${launch.planned} steps, the launches before it ${planned}`);
    }
    planned = launch.planned;
    const last = segments.at(-1);
    if (last !== undefined && last.to < resumedFrom)
      segments = [...segments.slice(0, -1), { ...last, to: resumedFrom }];
    redone += segments.reduce((sum, { from, to }) => sum + Math.max(0, to - Math.max(from - 1, resumedFrom)), 0);
    segments = segments
      .filter(({ from }) => from <= resumedFrom)
      .map((segment) => ({ ...segment, to: Math.min(segment.to, resumedFrom) }));
    if (launch.reached > resumedFrom) {
      segments.push({ launch: launch.launch, from: resumedFrom + 1, to: launch.reached });
    }
  }
  const executed = segments.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  return { planned: planned ?? 0, executed, redone, segments };
}

/**
 * Proves executed = planned: the segments cover 1 to `planned` exactly once.
 *
 * @throws TowerError `STEP_LEDGER_BROKEN` (not retryable) that names the first step that is missing or too many.
 */
export function assertComplete(ledger: StepLedger): void {
  let covered = 0;
  for (const { launch, from, to } of ledger.segments) {
    if (from > covered + 1) throw broken(`steps ${covered + 1} to ${from - 1} of ${ledger.planned} are missing`);
    if (from <= covered) throw broken(`launch ${launch} executed steps ${from} to ${Math.min(to, covered)} again`);
    covered = to;
  }
  if (ledger.planned === 0) throw broken('no launch has reported how many steps it plans');
  if (covered < ledger.planned) throw broken(`steps ${covered + 1} to ${ledger.planned} are missing`);
  if (covered > ledger.planned) throw broken(`${covered} steps were executed, ${ledger.planned} planned`);
}

function broken(reason: string): TowerError {
  return new TowerError('STEP_LEDGER_BROKEN', `The launches of the run do not add up to the planned steps: ${reason}`, {
    next: 'Look at the logs in the run folder; the result does not hold the training that was asked for.',
  });
}
