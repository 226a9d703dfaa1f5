import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { execa } from 'execa';

import { TowerError } from '../errors.js';
import { packageRoot } from '../files/package-root.js';
import type { ServiceOptions } from '../service-options.js';
import {
  completeEnvironment,
  environmentPython,
  type CompleteEnvironment,
  type EnvironmentKey,
  type TrainerDevice,
} from './environment-record.js';
import { cleanPythonEnvironment, installedVersions, pipInstall } from './pip.js';
import type { PythonInterpreter } from './python-interpreter.js';
import { installTorch, pinnedTorch, verifyTorchBuild } from './torch-install.js';

/** Where a build stands; `message` is a line of pip's, or says what happens. */
export interface EnvironmentProgress {
  readonly phase: 'wait' | 'venv' | 'torch' | 'requirements' | 'verify';
  readonly message: string;
}

export interface TrainerEnvironmentInput {
  readonly device: TrainerDevice;
  readonly cacheDirectory: string;
  /** Default: the requirements of the QLoRA trainer. */
  readonly requirementsPath?: string;
  /** A command of the environment's Python that proves it; default: one real 4-bit training step. */
  readonly probe?: { readonly args: readonly string[]; readonly cwd: string };
  /** Names or paths of Pythons to try. */
  readonly pythonCandidates?: readonly string[];
  /** Replaces PyTorch's own index of CPU builds. */
  readonly cpuIndexUrl?: string;
}

/** Free space for the environment and pip's temporary files. */
const gigabytesNeeded = { cpu: 3, cuda: 12 } as const;

export interface EnvironmentBuild {
  readonly input: TrainerEnvironmentInput;
  readonly requirementsPath: string;
  readonly key: EnvironmentKey;
  readonly base: PythonInterpreter;
  readonly directory: string;
}

/**
 * Builds a trainer environment in its folder. On any failure the folder is removed.
 *
 * @throws TowerError `DISK_FULL`, `PIP_FAILED` (retryable), `TORCH_BUILD_WRONG`, `TRAINER_PROBE_FAILED`.
 */
export async function buildEnvironment(
  { input, requirementsPath, key, base, directory }: EnvironmentBuild,
  options: ServiceOptions<EnvironmentProgress>,
): Promise<CompleteEnvironment> {
  const { signal, log } = options;
  const { device } = input;
  await requireSpace(dirname(directory), device);
  // A virtual environment holds its own path and cannot be moved: it is built in place, and a half-built one goes away.
  await discard(directory);
  log.info({ directory, base: base.executable, version: base.version }, 'building the trainer environment');
  try {
    inPhase('venv', options).onProgress(`creating a virtual environment with Python ${base.version}`);
    await execa(base.executable, ['-I', '-m', 'venv', directory], { cancelSignal: signal, stdin: 'ignore' });
    const python = environmentPython(directory);
    const version = pinnedTorch(await readFile(requirementsPath, 'utf8'));
    const torch = version === undefined ? undefined : { ...input, python, version };
    if (torch !== undefined) await installTorch(torch, inPhase('torch', options));
    await pipInstall(python, ['-r', requirementsPath], inPhase('requirements', options));
    if (torch !== undefined) await verifyTorchBuild(torch, signal);
    await prove(python, input, options);
    const record = {
      device,
      requirements: key.requirements,
      pythonVersion: base.version,
      versions: await installedVersions(python, signal),
    };
    await completeEnvironment(directory, record);
    return { python, record };
  } catch (error) {
    await discard(directory);
    signal.throwIfAborted();
    throw error;
  }
}

async function prove(
  python: string,
  { device, probe }: TrainerEnvironmentInput,
  options: ServiceOptions<EnvironmentProgress>,
): Promise<void> {
  const { args, cwd } = probe ?? {
    args: ['-m', 'qlora.probe', '--device', device],
    cwd: join(packageRoot, 'trainers'),
  };
  inPhase('verify', options).onProgress(`python ${args.join(' ')}`);
  const result = await execa(python, args, {
    cwd,
    cancelSignal: options.signal,
    reject: false,
    stdin: 'ignore',
    all: true,
    // Source checkouts stay clean, and packaged ones may be read-only.
    env: { ...cleanPythonEnvironment, PYTHONDONTWRITEBYTECODE: '1' },
  });
  options.signal.throwIfAborted();
  if (!result.failed) return;
  const tail = result.all.trim().split('\n').slice(-8).join('\n');
  throw new TowerError('TRAINER_PROBE_FAILED', `the trainer does not run in its new environment:\n${tail}`, {
    ...(device === 'cuda' && { next: 'Check the driver with nvidia-smi, or install for the CPU (--device cpu).' }),
  });
}

async function requireSpace(directory: string, device: TrainerDevice): Promise<void> {
  await mkdir(directory, { recursive: true });
  const { bavail, bsize } = await statfs(directory);
  const free = (bavail * bsize) / 2 ** 30;
  if (free >= gigabytesNeeded[device]) return;
  throw new TowerError(
    'DISK_FULL',
    `Expected ${gigabytesNeeded[device]} GiB free in ${directory}, found ${free.toFixed(1)}`,
    { next: 'Make room, or put the cache elsewhere (XDG_CACHE_HOME).' },
  );
}

/** Out of the way first, by one rename: a pip of a builder that was killed may still be writing there. */
async function discard(directory: string): Promise<void> {
  const away = `${directory}.discarded-${randomBytes(4).toString('hex')}`;
  try {
    await rename(directory, away);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await rm(away, { recursive: true, force: true });
}

/** Progress of one phase: plain messages get its name. */
export function inPhase(
  phase: EnvironmentProgress['phase'],
  { signal, log, onProgress }: ServiceOptions<EnvironmentProgress>,
): ServiceOptions<string> & { onProgress: (message: string) => void } {
  return {
    signal,
    log,
    onProgress: (message) => {
      onProgress?.({ phase, message });
    },
  };
}
