import axios from 'axios';
import { execa } from 'execa';
import { z } from 'zod';

import { TowerError, describeError } from '../errors.js';
import type { ServiceOptions } from '../service-options.js';
import type { TrainerDevice } from './environment-record.js';
import { cleanPythonEnvironment, pipInstall } from './pip.js';

/** PyTorch's own index of builds without CUDA. */
const cpuIndexUrl = 'https://download.pytorch.org/whl/cpu';
const reachableWithinMs = 5_000;

export interface TorchInput {
  readonly python: string;
  readonly device: TrainerDevice;
  /** Version of PyTorch as pinned, for example `2.13.0`. */
  readonly version: string;
  /** Replaces PyTorch's own index of CPU builds, for mirrors and tests. */
  readonly cpuIndexUrl?: string;
}

/** The version that a requirements file pins for torch, or `undefined` when it does not name it. */
export function pinnedTorch(requirements: string): string | undefined {
  return /^torch==([\w.]+)\s*(?:#.*)?$/m.exec(requirements)?.[1];
}

/**
 * Installs PyTorch for the device, without what it depends on.
 *
 * For a CPU the build is asked for by name (`+cpu`), so that the default index, which has CUDA builds of 3 GB under the
 * plain version, cannot slip one in. macOS builds have no such name and never contain CUDA.
 *
 * @throws TowerError `PIP_FAILED` (retryable).
 */
export async function installTorch(input: TorchInput, options: ServiceOptions<string>): Promise<void> {
  const { python, device, version } = input;
  if (device === 'cuda') {
    await pipInstall(python, ['--no-deps', `torch==${version}`], options);
    return;
  }
  const requirement = process.platform === 'darwin' ? `torch==${version}` : `torch==${version}+cpu`;
  const index = input.cpuIndexUrl ?? cpuIndexUrl;
  const source = (await isReachable(index, options)) ? ['--index-url', index] : [];
  await pipInstall(python, ['--no-deps', ...source, requirement], options);
}

/**
 * Looks at the PyTorch that is installed.
 *
 * @throws TowerError `TORCH_BUILD_WRONG` when it was built for another device than asked for.
 */
export async function verifyTorchBuild({ python, device }: TorchInput, signal: AbortSignal): Promise<void> {
  const code = 'import json, torch; print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda}))';
  const { stdout } = await execa(python, ['-c', code], {
    cancelSignal: signal,
    stdin: 'ignore',
    env: cleanPythonEnvironment,
  });
  const { version, cuda } = z.object({ version: z.string(), cuda: z.string().nullable() }).parse(JSON.parse(stdout));
  if ((cuda !== null) === (device === 'cuda')) return;
  const found = cuda === null ? 'without CUDA' : `for CUDA ${cuda}`;
  throw new TowerError(
    'TORCH_BUILD_WRONG',
    `Expected PyTorch ${device === 'cuda' ? 'for CUDA' : 'without CUDA'}, found ${version}, built ${found}`,
    {
      next:
        device === 'cuda'
          ? 'pip found a CPU build first: remove find-links and extra indexes from its configuration (`pip config list`).'
          : `Make ${cpuIndexUrl} reachable, or give pip a folder with the CPU build (PIP_FIND_LINKS).`,
    },
  );
}

async function isReachable(url: string, { signal, log }: ServiceOptions<string>): Promise<boolean> {
  try {
    const within = AbortSignal.any([signal, AbortSignal.timeout(reachableWithinMs)]);
    await axios.head(`${url.replace(/\/$/, '')}/torch/`, { signal: within, maxRedirects: 3 });
    return true;
  } catch (error) {
    signal.throwIfAborted();
    log.info(
      { index: url, reason: describeError(error) },
      'PyTorch’s own index is not reachable; pip’s sources are used',
    );
    return false;
  }
}
