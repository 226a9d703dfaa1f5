import { stat } from 'node:fs/promises';

import { undefinedIfAbsent } from '../files/absent.js';
import { parseEvent } from '../qlora/parse-event.js';
import { LaunchFollower } from '../training/follow.js';
import { readLaunches } from '../training/launch-record.js';
import { runDirectory } from '../training/run-directory.js';
import { readSettled, type Settled } from '../training/settle.js';
import type { LineParser } from '../training/trainer-driver.js';
import type { LossCurve, LossPoint } from './loss-chart.js';

export interface LaunchRecord {
  readonly number: number;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly resumedFrom: number;
  /** How it ended, in words. */
  readonly end: string;
}

/** What the folder of a training run tells. */
export interface TrainingRecord {
  readonly curve: LossCurve;
  readonly launches: readonly LaunchRecord[];
  readonly settled: Settled | null;
  /** What the trainer said of itself: device, quantisation, library versions. */
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
}

/**
 * @param createParser - Of the trainer's output; default: the QLoRA trainer's.
 * @returns `undefined` when the run's folder is not there (any more).
 */
export async function readTrainingRecord(
  directory: string,
  createParser: () => LineParser = () => parseEvent,
): Promise<TrainingRecord | undefined> {
  if (!(await isThere(directory))) return undefined;
  const run = runDirectory(directory);
  const launches: LaunchRecord[] = [];
  // A later launch redoes the steps after the state it went on from: its values count.
  let training: LossPoint[] = [];
  let heldOut: LossPoint[] = [];
  let facts = {};
  for (const { files, process, exit, fault } of await readLaunches(run)) {
    const follower = new LaunchFollower(files, { createParser });
    let resumedFrom = 0;
    try {
      for await (const event of follower.newEvents({ ended: true })) {
        if (event.event === 'start') {
          resumedFrom = event.resumedFromStep;
          facts = event.facts;
          training = training.filter(({ step }) => step <= event.resumedFromStep);
          heldOut = heldOut.filter(({ step }) => step <= event.resumedFromStep);
        } else if (event.event === 'step' && event.loss !== undefined) {
          training.push({ step: event.step, loss: event.loss });
        } else if (event.event === 'eval') heldOut.push({ step: event.step, loss: event.loss });
      }
    } finally {
      await follower.close();
    }
    launches.push({
      number: files.number,
      startedAt: process.launchedAt,
      endedAt: exit?.endedAt ?? null,
      resumedFrom,
      end: fault === undefined ? endText(exit) : `${fault.class}: ${fault.message}`,
    });
  }
  const resumedAfter = launches.map(({ resumedFrom }) => resumedFrom).filter((step) => step > 0);
  return { curve: { training, heldOut, resumedAfter }, launches, settled: (await readSettled(run)) ?? null, facts };
}

function endText(exit: { readonly code: number | null; readonly signal: string | null } | undefined): string {
  if (exit === undefined) return 'no record of its end';
  if (exit.signal !== null) return `ended by ${exit.signal}`;
  return exit.code === 0 ? 'done' : `exit code ${exit.code}`;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(undefinedIfAbsent)) !== undefined;
}
