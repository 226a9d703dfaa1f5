import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { describeError } from '../errors.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { sendSignal } from './end-group.js';
import { holderRecordSchema, type HolderRecord } from './holder-record.js';
import { GpuBusyError, LaunchFailedError, RunStoppedError } from './launch-errors.js';
import { launcherArguments, readAnswer } from './launcher-process.js';

/** What the launcher is to start; written to `spec.json` in the launch directory. Paths are absolute. */
export interface LaunchSpec {
  readonly version: 1;
  readonly lock: string;
  readonly run: string;
  readonly generation: number;
  /** Rung of the out-of-memory ladder; recorded for later attempts. */
  readonly memoryRung: number;
  /** The complete state that this launch goes on from; recorded for the step ledger. */
  readonly resume: { readonly path: string; readonly step: number } | null;
  readonly kind: string;
  readonly workflowId: string;
  readonly stateDirectory: string;
  /** Exists already; receives `spec.json`, `process.json`, `exit.json` and the logs. */
  readonly launchDirectory: string;
  readonly argv: readonly [string, ...string[]];
  readonly workingDirectory: string;
  /** Nothing is started once this file exists. */
  readonly stopFile: string;
  readonly graceSeconds: number;
}

export interface LaunchOptions {
  /** Runs the launcher (Python ≥ 3.11, standard library only). */
  readonly python: string;
  /** The trainer's whole environment; never written to disk. */
  readonly environment: Readonly<Record<string, string>>;
  /** How long the launcher may take to answer, beside the grace time of a former group. Default 20 s. */
  readonly answerMs?: number;
}

export interface StartedTrainer {
  readonly status: 'started';
  readonly process: HolderRecord;
}

const answerSchema = z.discriminatedUnion('status', [
  z.object({ status: z.literal('started'), process: holderRecordSchema }),
  z.object({ status: z.literal('busy'), holder: holderRecordSchema.nullable() }),
  z.object({ status: z.literal('stopped') }),
  z.object({ status: z.literal('failed'), message: z.string(), permanent: z.boolean() }),
]);

/**
 * Starts a trainer that outlives this process, under the GPU's kernel lock.
 *
 * @throws GpuBusyError when another run holds the lock (at once, never waiting inside the slot).
 * @throws RunStoppedError when the stop file exists.
 * @throws LaunchFailedError when Python, the launcher or the trainer's program does not start.
 */
export async function launchTrainer(
  spec: LaunchSpec,
  { python, environment, answerMs = 20_000 }: LaunchOptions,
): Promise<StartedTrainer> {
  const specPath = join(spec.launchDirectory, 'spec.json');
  await writeJsonDurable(specPath, spec);
  const errors = await open(join(spec.launchDirectory, 'launcher.log'), 'a');
  let launcher: ChildProcess;
  try {
    launcher = spawn(python, launcherArguments('run', specPath), {
      detached: true,
      stdio: ['ignore', 'pipe', errors.fd],
      env: { ...environment },
      cwd: spec.launchDirectory,
    });
    await once(launcher, 'spawn');
  } catch (error) {
    const permanent = ['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '');
    throw new LaunchFailedError(spec.run, describeError(error), { permanent, cause: error });
  } finally {
    await errors.close();
  }
  launcher.unref();
  return await interpret(spec, launcher, answerMs + spec.graceSeconds * 1000);
}

async function interpret(spec: LaunchSpec, launcher: ChildProcess, deadlineMs: number): Promise<StartedTrainer> {
  const { stdout, pid } = launcher;
  if (stdout === null || pid === undefined) throw new LaunchFailedError(spec.run, 'it has no output');
  let line: string | undefined;
  try {
    line = await readAnswer(stdout, deadlineMs);
  } catch (error) {
    // Without an answer nobody knows whether a trainer runs, so none may.
    sendSignal(-pid, 'SIGKILL');
    throw new LaunchFailedError(spec.run, describeError(error), { cause: error });
  } finally {
    stdout.destroy();
  }
  const answer = line === undefined ? undefined : answerSchema.safeParse(parseJson(line)).data;
  switch (answer?.status) {
    case 'started':
      return answer;
    case 'busy':
      throw new GpuBusyError(spec.lock, answer);
    case 'stopped':
      throw new RunStoppedError(spec.run, spec.generation);
    case 'failed':
      throw new LaunchFailedError(spec.run, answer.message, { permanent: answer.permanent });
    case undefined:
      throw new LaunchFailedError(spec.run, line ?? (await lastWords(spec.launchDirectory)));
  }
}

async function lastWords(launchDirectory: string): Promise<string> {
  const text = await readFile(join(launchDirectory, 'launcher.log'), 'utf8');
  return text.trim().slice(-1000) || 'it ended without an answer';
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
