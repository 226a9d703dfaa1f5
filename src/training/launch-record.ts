import { z } from 'zod';

import { namesIn } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import { holderRecordSchema, type HolderRecord } from '../gpu/holder-record.js';
import { livingMembers } from '../gpu/process-table.js';
import { faultClassSchema } from './fault-class.js';
import { launchNamePattern, type LaunchDirectory, type RunDirectory } from './run-directory.js';

/** The part of `spec.json` that later attempts need; the launcher reads the rest. */
const launchSpecSchema = z.object({
  run: z.string(),
  /** Counts the resumes of the run; a stop holds for one generation. */
  generation: z.int().nonnegative(),
  kind: z.string(),
  workflowId: z.string(),
  lock: z.string(),
  memoryRung: z.int().nonnegative(),
  /** The complete state that this launch was told to go on from. */
  resume: z.object({ path: z.string(), step: z.int().nonnegative() }).nullable(),
});

/** `exit.json`: how the trainer ended, or why it was not started. */
const exitRecordSchema = z.object({
  version: z.literal(1),
  code: z.int().nullable(),
  signal: z.string().nullable(),
  endedAt: z.iso.datetime(),
  notStarted: z.string().optional(),
});

/** `fault.json`: the judgement on a launch that ended without an artefact; written once. */
const faultRecordSchema = z.object({
  class: faultClassSchema,
  message: z.string(),
  judgedAt: z.iso.datetime(),
});

export type FaultRecord = z.output<typeof faultRecordSchema>;

/** One start of the trainer, as its folder tells it. */
export interface Launch {
  readonly files: LaunchDirectory;
  readonly spec: z.output<typeof launchSpecSchema>;
  readonly process: HolderRecord;
  /** `undefined` while it runs, and when the launcher died before the trainer. */
  readonly exit: z.output<typeof exitRecordSchema> | undefined;
  readonly fault: FaultRecord | undefined;
}

/**
 * All launches of a run in order of their start. Folders without `process.json` never started, and those whose launcher
 * started no trainer do not count.
 */
export async function readLaunches(run: RunDirectory): Promise<Launch[]> {
  const launches = await Promise.all((await launchNumbers(run)).map((number) => readLaunch(run.launch(number))));
  return launches.filter((launch) => launch !== undefined);
}

/** Launches of a run with at least one living process; two only for the moment in which one replaces the other. */
export async function livingLaunches(run: RunDirectory): Promise<Launch[]> {
  return (await readLaunches(run)).filter((launch) => livingMembers(launch.process).length > 0);
}

/** Numbers of all launch folders, ascending, also of those that never started. */
export async function launchNumbers(run: RunDirectory): Promise<number[]> {
  return (await namesIn(run.launches))
    .filter((name) => launchNamePattern.test(name))
    .map(Number)
    .sort((one, other) => one - other);
}

export async function readLaunch(files: LaunchDirectory): Promise<Launch | undefined> {
  const process = await readJsonIfExists(files.process, holderRecordSchema);
  const spec = await readJsonIfExists(files.spec, launchSpecSchema);
  if (process === undefined || spec === undefined) return undefined;
  const exit = await readJsonIfExists(files.exit, exitRecordSchema);
  if (exit?.notStarted !== undefined) return undefined;
  const fault = await readJsonIfExists(files.fault, faultRecordSchema);
  return { files, spec, process, exit, fault };
}
