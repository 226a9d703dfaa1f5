import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { execa } from 'execa';

import { packageRoot } from '../../src/files/package-root.js';

/** A package of its own: its 200 dependencies and their TypeScript would otherwise be Tower's. */
const directory = join(packageRoot, 'bench', 'render', 'clients');

/** Installs the npm clients as their lock file says, unless they are there. */
export async function installClients(): Promise<void> {
  const installed = join(directory, 'node_modules', '.package-lock.json');
  if (existsSync(installed)) return;
  await execa('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: directory,
    stdout: process.stderr,
    stderr: 'inherit',
  });
}

/** Loads one of them. Its types are not installed with Tower: the caller names what it uses. */
export async function loadClient(name: string, entry: string): Promise<unknown> {
  const root = createRequire(join(directory, 'package.json')).resolve.paths(name)?.[0] ?? '';
  return import(pathToFileURL(join(root, name, entry)).href);
}

/** Name and version as measured. */
export function clientVersions(): Record<string, string> {
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return manifest.dependencies;
}
