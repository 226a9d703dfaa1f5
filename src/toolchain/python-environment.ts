import { join } from 'node:path';

import { TowerError } from '../errors.js';
import { packageRoot } from '../files/package-root.js';
import type { ServiceOptions } from '../service-options.js';
import {
  buildEnvironment,
  inPhase,
  type EnvironmentProgress,
  type TrainerEnvironmentInput,
} from './build-environment.js';
import { underBuildLock } from './build-lock.js';
import {
  environmentDirectory,
  findEnvironment,
  hashRequirements,
  readEnvironment,
  type CompleteEnvironment,
  type EnvironmentKey,
  type TrainerDevice,
} from './environment-record.js';
import { findPython } from './python-interpreter.js';

export type { EnvironmentProgress, TrainerEnvironmentInput } from './build-environment.js';
export type { TrainerDevice } from './environment-record.js';

export interface TrainerEnvironment {
  /** The environment's interpreter. */
  readonly python: string;
  /** False when it was complete already. */
  readonly created: boolean;
  /** Installed packages by name. */
  readonly versions: Readonly<Record<string, string>>;
}

const defaultRequirements = join(packageRoot, 'trainers', 'qlora', 'requirements.txt');
const needs = { minimum: [3, 11], below: [3, 15], modules: ['venv', 'ensurepip'] } as const;

/**
 * The Python environment of the trainers: found, or built once and shared by all checkouts. Several processes may ask at
 * the same time; one builds, the others wait.
 *
 * @throws TowerError `PYTHON_NOT_FOUND`, `DISK_FULL`, `PIP_FAILED` (retryable), `TORCH_BUILD_WRONG`,
 * `TRAINER_PROBE_FAILED`; a build that failed leaves nothing that could be taken for an environment.
 */
export async function ensureTrainerEnvironment(
  input: TrainerEnvironmentInput,
  options: ServiceOptions<EnvironmentProgress>,
): Promise<TrainerEnvironment> {
  const key = await keyOf(input);
  const existing = await findEnvironment(key);
  if (existing !== undefined) return describe(existing, false);
  const base = await findPython(
    { ...needs, ...(input.pythonCandidates && { candidates: input.pythonCandidates }) },
    options.signal,
  );
  const directory = environmentDirectory(key, base.version);
  const lock = { lock: `${directory}.lock`, python: base.executable };
  return underBuildLock(lock, inPhase('wait', options), async (signal) => {
    const builtMeanwhile = await readEnvironment(directory);
    if (builtMeanwhile !== undefined) return describe(builtMeanwhile, false);
    const requirementsPath = input.requirementsPath ?? defaultRequirements;
    const built = await buildEnvironment({ input, requirementsPath, key, base, directory }, { ...options, signal });
    return describe(built, true);
  });
}

/**
 * The interpreter of a complete environment; builds nothing.
 *
 * @param device `auto` prefers one for CUDA.
 * @throws TowerError `TRAINER_ENVIRONMENT_MISSING`.
 */
export async function findTrainerPython(
  input: Pick<TrainerEnvironmentInput, 'cacheDirectory' | 'requirementsPath'> & { device: TrainerDevice | 'auto' },
): Promise<string> {
  const devices = input.device === 'auto' ? (['cuda', 'cpu'] as const) : [input.device];
  for (const device of devices) {
    const environment = await findEnvironment(await keyOf({ ...input, device }));
    if (environment !== undefined) return environment.python;
  }
  throw new TowerError('TRAINER_ENVIRONMENT_MISSING', `no Python environment for training on ${devices.join(' or ')}`, {
    next: 'Build it with `tower trainer install`, or name a Python of your own in train.python.',
  });
}

async function keyOf(
  input: Pick<TrainerEnvironmentInput, 'cacheDirectory' | 'requirementsPath' | 'device'>,
): Promise<EnvironmentKey> {
  const requirements = await hashRequirements(input.requirementsPath ?? defaultRequirements);
  return { cacheDirectory: input.cacheDirectory, device: input.device, requirements };
}

function describe({ python, record }: CompleteEnvironment, created: boolean): TrainerEnvironment {
  return { python, created, versions: record.versions };
}
