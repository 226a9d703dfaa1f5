import { createHash } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import pino from 'pino';

import { cacheDirectory } from '../dist/config/locations.js';
import { ensureTrainerEnvironment } from '../dist/toolchain/python-environment.js';

const requirements = fileURLToPath(new URL('../trainers/requirements-development.txt', import.meta.url));

/**
 * The trainer's Python environment, found or built, and a folder of the tools that check Python code. The tools lie beside
 * the environment, so that it stays exactly what users have.
 */
export async function preparePythonTools() {
  const cache = cacheDirectory(process.env);
  let phase = '';
  const { python, created } = await ensureTrainerEnvironment(
    { device: 'cpu', cacheDirectory: cache },
    {
      signal: new AbortController().signal,
      log: pino({ level: 'silent' }),
      onProgress: (progress) => {
        if (progress.phase !== phase) console.log(`trainer environment: ${progress.phase} (${progress.message})`);
        phase = progress.phase;
      },
    },
  );
  console.log(`trainer environment ${created ? 'built' : 'found'}: ${python}`);
  return { python, tools: installTools(python, cache) };
}

function installTools(python, cache) {
  const version = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 16);
  const directory = join(cache, 'python-tools', version);
  if (existsSync(directory)) return directory;
  const draft = `${directory}.${process.pid}`;
  const args = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '--target',
    draft,
    '-r',
    requirements,
  ];
  const { status } = spawnSync(python, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) throw new Error('the tools that check Python code could not be installed');
  if (existsSync(directory)) rmSync(draft, { recursive: true });
  else renameSync(draft, directory);
  return directory;
}
