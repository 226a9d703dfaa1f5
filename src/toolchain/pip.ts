import { execa } from 'execa';
import { z } from 'zod';

import { TowerError } from '../errors.js';
import type { ServiceOptions } from '../service-options.js';

const tailLines = 12;

/**
 * Runs `pip install` in a virtual environment. Its lines go to `onProgress`. Only wheels are taken: building a source
 * package would run its code and needs a compiler.
 *
 * @throws TowerError `PIP_FAILED` (retryable: most often the network) with the end of its output.
 */
export async function pipInstall(
  python: string,
  args: readonly string[],
  { signal, onProgress, log }: ServiceOptions<string>,
): Promise<void> {
  const command = ['-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', '--only-binary=:all:', ...args];
  log.info({ command: ['python', ...command].join(' ') }, 'pip starts');
  const pip = execa(python, command, {
    cancelSignal: signal,
    forceKillAfterDelay: 5_000,
    reject: false,
    stdin: 'ignore',
    all: true,
    env: { ...cleanPythonEnvironment, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0', PIP_PROGRESS_BAR: 'off' },
  });
  const tail: string[] = [];
  for await (const line of pip.iterable({ from: 'all' })) {
    tail.push(line);
    if (tail.length > tailLines) tail.shift();
    onProgress?.(line.trim());
    log.debug({ pip: line }, 'pip');
  }
  const result = await pip;
  signal.throwIfAborted();
  if (!result.failed) return;
  throw new TowerError('PIP_FAILED', `pip install ${args.join(' ')} failed:\n${tail.join('\n')}`, {
    retryable: true,
    next: 'Check the network and pip’s own configuration (`pip config list`), then try again.',
  });
}

/** Installed packages and their versions, by name. */
export async function installedVersions(python: string, signal: AbortSignal): Promise<Record<string, string>> {
  const { stdout } = await execa(python, ['-m', 'pip', 'list', '--format=json', '--disable-pip-version-check'], {
    cancelSignal: signal,
    stdin: 'ignore',
    env: cleanPythonEnvironment,
  });
  const packages = z.array(z.object({ name: z.string(), version: z.string() })).parse(JSON.parse(stdout));
  return Object.fromEntries(packages.map(({ name, version }) => [name, version]));
}

/** Keeps packages outside the virtual environment out of it. */
export const cleanPythonEnvironment = { PYTHONPATH: '', PYTHONNOUSERSITE: '1' } as const;
