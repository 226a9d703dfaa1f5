import { link, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { randomBytes } from 'node:crypto';

import { z } from 'zod';

import { syncDirectory, writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { Launch } from './launch-record.js';
import { readLaunches } from './launch-record.js';
import { summarizeLaunch } from './launch-summary.js';
import type { RunDirectory } from './run-directory.js';
import { assertComplete, buildStepLedger, stepLedgerSchema, type LaunchSteps } from './step-ledger.js';
import type { ArtefactCheck, TrainerDriver } from './trainer-driver.js';

/** `settled.json`: the final outcome of a run. */
export const settledSchema = z.object({
  version: z.literal(1),
  outcome: z.literal('done'),
  driver: z.string(),
  simulated: z.boolean(),
  artefact: z.object({ path: z.string(), sha256: z.string(), bytes: z.int().nonnegative() }),
  steps: stepLedgerSchema,
  launches: z.int().positive(),
  /** Rung of the out-of-memory ladder of the last launch, 0 = as configured. */
  memoryRung: z.int().nonnegative(),
  trainLoss: z.number().nullable(),
  heldOutLoss: z.number().nullable(),
  settledAt: z.iso.datetime(),
});

export type Settled = z.output<typeof settledSchema>;

export async function readSettled(run: RunDirectory): Promise<Settled | undefined> {
  return await readJsonIfExists(run.settled, settledSchema);
}

/**
 * Writes the outcome of a run whose artefact was found valid, once: of two attempts at the same time the first one wins,
 * and both return what it wrote.
 *
 * @throws TowerError `STEP_LEDGER_BROKEN` when the launches do not add up to the planned steps.
 */
export async function settle(
  run: RunDirectory,
  driver: TrainerDriver,
  artefact: Extract<ArtefactCheck, { valid: true }>,
): Promise<Settled> {
  const launches = await readLaunches(run);
  const summaries = await summarizeAll(launches, driver);
  const steps = buildStepLedger(summaries.map(({ steps }) => steps));
  assertComplete(steps);
  const done = summaries.at(-1)?.summary.last('done');
  const settled: Settled = {
    version: 1,
    outcome: 'done',
    driver: driver.name,
    simulated: driver.simulated,
    artefact: { path: artefact.path, sha256: artefact.sha256, bytes: artefact.bytes },
    steps,
    launches: launches.length,
    memoryRung: launches.at(-1)?.spec.memoryRung ?? 0,
    trainLoss: done?.trainLoss ?? null,
    heldOutLoss: done?.heldOutLoss ?? null,
    settledAt: new Date().toISOString(),
  };
  return (await writeOnce(run.settled, settled)) ? settled : ((await readSettled(run)) ?? settled);
}

/** Durable, and only if the file does not exist yet. @returns whether this call wrote it. */
export async function writeOnce(path: string, value: unknown): Promise<boolean> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  await writeJsonDurable(temporary, value);
  try {
    await link(temporary, path);
    await syncDirectory(dirname(path));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function summarizeAll(launches: readonly Launch[], driver: Pick<TrainerDriver, 'createParser'>) {
  const all = [];
  for (const launch of launches) {
    const { summary } = await summarizeLaunch(launch.files, driver);
    const steps: LaunchSteps = {
      launch: launch.files.number,
      toldToResumeFrom: launch.spec.resume?.step ?? 0,
      resumedFrom: summary.start?.resumedFromStep,
      planned: summary.start?.totalSteps,
      reached: summary.reachedStep,
    };
    all.push({ steps, summary });
  }
  return all;
}
