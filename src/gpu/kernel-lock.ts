import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { execa } from 'execa';
import { z } from 'zod';

import { describeError, TowerError } from '../errors.js';
import { namingFullDisk } from '../files/disk-full.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { holderRecordSchema, type HolderRecord } from './holder-record.js';
import { GpuBusyError } from './launch-errors.js';
import { launcherArguments, readAnswer } from './launcher-process.js';
import { findLockOwner, type LockOwner } from './lock-owner.js';

/** Who asks for a lock; shown to whoever finds it taken. */
export interface LockRequest {
  readonly lock: string;
  readonly run: string;
  readonly kind: string;
  readonly workflowId: string;
  readonly stateDirectory: string;
}

/** A held kernel lock. The kernel frees it when {@link release} is called or this process dies, whichever is first. */
export interface HeldLock {
  readonly holder: HolderRecord;
  /** Aborts when the lock is lost while it should be held (somebody killed the launcher); work under it must stop. */
  readonly lost: AbortSignal;
  /** Frees the lock; returns once it is free. Idempotent. */
  release(): Promise<void>;
}

export interface LockState {
  readonly held: boolean;
  /** `null` when it is free, or held by a process that left no record of itself yet. */
  readonly holder: HolderRecord | null;
  /** Who holds it without a record: a program that is not Tower's. */
  readonly stranger?: LockOwner;
}

const answerSchema = z.discriminatedUnion('status', [
  z.object({ status: z.literal('held'), process: holderRecordSchema }),
  z.object({ status: z.literal('busy'), holder: holderRecordSchema.nullable() }),
  z.object({ status: z.literal('failed'), message: z.string() }),
]);

const stateSchema = z.object({ held: z.boolean(), holder: holderRecordSchema.nullable() });

/**
 * Takes a kernel lock without waiting and holds it: the GPU's while rendering, or any other (state directory).
 *
 * @throws GpuBusyError when it is taken.
 * @throws TowerError `LOCK_FAILED` (retryable) when the launcher does not start or the lock file cannot be opened, `DISK_FULL`
 * (retryable) of the folder for temporary files.
 */
export async function holdLock(request: LockRequest, { python }: { python: string }): Promise<HeldLock> {
  const folder = await namingFullDisk(tmpdir(), () => mkdtemp(join(tmpdir(), 'tower-lock-')));
  try {
    const specPath = join(folder, 'spec.json');
    await writeJsonDurable(specPath, { version: 1, ...request });
    return await startHolder(request, python, specPath);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function startHolder(request: LockRequest, python: string, specPath: string): Promise<HeldLock> {
  const launcher = spawn(python, launcherArguments('hold', specPath), {
    // Its own group: Ctrl-C at the terminal must not free the lock before the work under it has stopped.
    detached: true,
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { PATH: process.env['PATH'] },
  });
  const lost = new AbortController();
  const ended = new Promise((resolve) => launcher.once('exit', resolve));
  let answer: z.output<typeof answerSchema>;
  try {
    await once(launcher, 'spawn');
    answer = answerSchema.parse(JSON.parse((await readAnswer(launcher.stdout, 30_000)) ?? 'null'));
  } catch (error) {
    launcher.kill('SIGKILL');
    throw lockFailed(request.lock, describeError(error), error);
  }
  if (answer.status === 'busy') throw new GpuBusyError(request.lock, answer);
  if (answer.status === 'failed') throw lockFailed(request.lock, answer.message);

  let released = false;
  void ended.then(() => {
    if (!released) lost.abort(lockFailed(request.lock, 'the process that held it has ended'));
  });
  launcher.stdin.on('error', () => {
    // The launcher's end is closed: `lost` tells.
  });
  launcher.stdout.resume();
  return {
    holder: answer.process,
    lost: lost.signal,
    release: async () => {
      released = true;
      launcher.stdin.destroy();
      await ended;
    },
  };
}

/**
 * Looks whether a kernel lock is held, without disturbing anybody who takes it.
 *
 * @throws TowerError `LOCK_FAILED` (retryable) when the launcher does not run.
 */
export async function probeLock(lockPath: string, python: string): Promise<LockState> {
  try {
    const { stdout } = await execa(python, launcherArguments('probe', lockPath), { timeout: 15_000, stdin: 'ignore' });
    const state = stateSchema.parse(JSON.parse(stdout));
    const stranger = state.held && state.holder === null ? await findLockOwner(lockPath) : undefined;
    return { ...state, ...(stranger !== undefined && { stranger }) };
  } catch (error) {
    throw lockFailed(lockPath, describeError(error), error);
  }
}

function lockFailed(lock: string, reason: string, cause?: unknown): TowerError {
  return new TowerError('LOCK_FAILED', `The lock ${lock} cannot be taken or looked at: ${reason}`, {
    retryable: true,
    next: 'Check that the configured Python exists and that the folder of the lock is writable (`tower doctor`).',
    details: { lock },
    cause,
  });
}
