import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';

import { TowerError } from '../errors.js';
import { namesIn, undefinedIfAbsent } from '../files/absent.js';
import { exists } from '../files/exists.js';
import { baseModels, type BaseModelKind } from './base-model.js';

/** What an installed sd-scripts can do, found out by reading its files. */
export interface KohyaCapabilities {
  /** As its README says; `null` where it says nothing. */
  readonly version: string | null;
  /** The commit of its checkout; `null` where it is none. */
  readonly commit: string | null;
  /** Versions of Python and torch in its environment; `null` where its files do not tell. */
  readonly python: string | null;
  readonly torch: string | null;
  /** It can hold images out and tell their loss after each epoch. */
  readonly validation: boolean;
  /** The Python environment has these packages: losses with all their digits, and 8-bit optimisers. */
  readonly tensorboard: boolean;
  readonly bitsandbytes: boolean;
  /**
   * Every option that some script of it knows: sd-scripts passes over unknown keys of a configuration without a word. `null`: not
   * known.
   */
  readonly options: ReadonlySet<string> | null;
}

/** An sd-scripts checkout that can train. */
export interface KohyaInstallation {
  /** The folder of the scripts, absolute; they run in it. */
  readonly root: string;
  readonly capabilities: KohyaCapabilities;
}

export interface ProbeOptions {
  /** The folder of sd-scripts, or that of kohya_ss, which has it as `sd-scripts/`. */
  readonly folder: string;
  /** Interpreter of the environment in which the scripts run. */
  readonly python: string;
  /** Of the trainer; its `PYTHONPATH` counts. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Finds the scripts and what they can do, without running anything.
 *
 * @throws TowerError `SD_SCRIPTS_NOT_FOUND`, `KOHYA_PYTHON_NOT_FOUND`, or `SD_SCRIPTS_TOO_OLD` when it lacks what a resume needs.
 */
export async function probeInstallation({ folder, python, environment }: ProbeOptions): Promise<KohyaInstallation> {
  const root = await findRoot(folder);
  const options = await readOptionNames(root);
  const missing = ['initial_epoch', 'console_log_simple', 'dataset_config', 'resume'].filter(
    (name) => !options.has(name),
  );
  if (missing.length > 0) {
    throw new TowerError('SD_SCRIPTS_TOO_OLD', `${root} knows no ${missing.join(', ')}`, {
      next: 'Update sd-scripts to 0.9.0 or newer.',
      details: { root, missing },
    });
  }
  const packages = await installedPackages(python, environment?.['PYTHONPATH']);
  return {
    root,
    capabilities: {
      version: await readVersion(root),
      commit: await readCommit(root),
      python: await pythonVersion(python),
      torch: versionOf('torch', packages),
      validation: options.has('validation_split'),
      tensorboard: packages.has('tensorboard'),
      bitsandbytes: packages.has('bitsandbytes'),
      options,
    },
  };
}

/** @throws TowerError `SD_SCRIPTS_NOT_FOUND` when the script for this base model is not there. */
export async function scriptFor({ root }: KohyaInstallation, kind: BaseModelKind): Promise<string> {
  const { script } = baseModels[kind];
  if (await exists(join(root, script))) return script;
  throw notFound(root, `there is no ${script}`, 'Update sd-scripts, or train for another base model.');
}

async function findRoot(folder: string): Promise<string> {
  for (const root of [folder, join(folder, 'sd-scripts')]) {
    const isRoot = (await exists(join(root, 'train_network.py'))) && (await exists(join(root, 'library')));
    if (isRoot) return await realpath(root);
  }
  const submodule = await stat(join(folder, 'sd-scripts')).catch(undefinedIfAbsent);
  if (submodule !== undefined) {
    const next = 'Run `git submodule update --init` in the folder of kohya_ss.';
    throw notFound(folder, 'its sub-folder sd-scripts has no train_network.py', next);
  }
  throw notFound(folder, 'neither it nor its sub-folder sd-scripts has train_network.py', undefined);
}

function notFound(folder: string, reason: string, next: string | undefined): TowerError {
  return new TowerError('SD_SCRIPTS_NOT_FOUND', `There is no sd-scripts in ${folder}: ${reason}`, {
    next: next ?? 'Clone kohya-ss/sd-scripts or bmaltais/kohya_ss and name its folder in the configuration.',
    details: { folder },
  });
}

/** Names in `add_argument("--name"`, in the scripts and in their library. */
async function readOptionNames(root: string): Promise<Set<string>> {
  const names = new Set<string>();
  for (const folder of [root, join(root, 'library')]) {
    for (const file of (await readdir(folder)).filter((name) => name.endsWith('.py'))) {
      const source = await readFile(join(folder, file), 'utf8');
      for (const [, name] of source.matchAll(/add_argument\(\s*["']--([a-z0-9_]+)["']/g)) if (name) names.add(name);
    }
  }
  return names;
}

async function readVersion(root: string): Promise<string | null> {
  const readme = await readFile(join(root, 'README.md'), 'utf8').catch(undefinedIfAbsent);
  return readme === undefined ? null : (/\bversion\s+(\d+\.\d+(?:\.\d+)*)/i.exec(readme)?.[1] ?? null);
}

/** Of a checkout, of a worktree and of a submodule alike; a branch may be packed. */
async function readCommit(root: string): Promise<string | null> {
  const git = join(root, '.git');
  const pointer = (await stat(git).catch(undefinedIfAbsent))?.isFile() === true ? await readText(git) : undefined;
  const named = pointer === undefined ? undefined : /^gitdir: (.+)$/m.exec(pointer)?.[1]?.trim();
  const directory = named === undefined ? git : isAbsolute(named) ? named : join(root, named);
  const head = (await readText(join(directory, 'HEAD')))?.trim();
  if (head === undefined) return null;
  const reference = /^ref: (.+)$/.exec(head)?.[1];
  if (reference === undefined) return head;
  const loose = await readText(join(directory, reference));
  if (loose !== undefined) return loose.trim();
  const packed = await readText(join(directory, 'packed-refs'));
  return (
    packed
      ?.split('\n')
      .find((line) => line.endsWith(` ${reference}`))
      ?.split(' ')[0] ?? null
  );
}

async function readText(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch(undefinedIfAbsent);
}

/** Of the virtual environment; `3.12` where only its folder of packages tells. */
async function pythonVersion(python: string): Promise<string | null> {
  const prefix = dirname(dirname(await findInterpreter(python)));
  const settings = await readText(join(prefix, 'pyvenv.cfg'));
  const told = settings === undefined ? undefined : /^version(?:_info)? = (\d+\.\d+(?:\.\d+)?)/m.exec(settings)?.[1];
  if (told !== undefined) return told;
  const folders = (await namesIn(join(prefix, 'lib'))).flatMap((name) => /^python(3\.\d+)$/.exec(name)?.[1] ?? []);
  return folders.length === 1 ? (folders[0] ?? null) : null;
}

/** As its metadata folder says: `torch-2.9.0+cu128.dist-info`. */
function versionOf(name: string, packages: ReadonlySet<string>): string | null {
  const [begin, end] = [`${name}-`, '.dist-info'];
  const folder = [...packages].find((entry) => entry.startsWith(begin) && entry.endsWith(end));
  return folder === undefined ? null : folder.slice(begin.length, -end.length);
}

/** Names of the packages beside an interpreter, in its virtual environment's folders, and on `PYTHONPATH`. */
async function installedPackages(python: string, pythonPath: string | undefined): Promise<Set<string>> {
  const interpreter = await findInterpreter(python);
  const prefix = dirname(dirname(interpreter));
  const prefixes = [prefix];
  const settings = await readText(join(prefix, 'pyvenv.cfg'));
  const base = settings === undefined ? undefined : /^home = (.+)$/m.exec(settings)?.[1];
  if (base !== undefined && /^include-system-site-packages = true$/m.test(settings ?? '')) prefixes.push(dirname(base));
  // Outside of a virtual environment it may be a link into its installation.
  if (settings === undefined) prefixes.push(dirname(dirname(await realpath(interpreter))));
  const folders = (pythonPath ?? '').split(':').filter((folder) => folder !== '');
  for (const lib of prefixes.flatMap((each) => [join(each, 'lib'), join(each, 'lib64')])) {
    for (const version of (await namesIn(lib)).filter((name) => name.startsWith('python3'))) {
      folders.push(join(lib, version, 'site-packages'), join(lib, version, 'dist-packages'));
    }
  }
  const packages = new Set<string>();
  for (const folder of folders) for (const name of await packagesIn(folder)) packages.add(name);
  return packages;
}

/** Also those in folders that a `.pth` file names. */
async function packagesIn(folder: string): Promise<string[]> {
  const names = await namesIn(folder);
  const linked = [];
  for (const link of names.filter((name) => name.endsWith('.pth'))) {
    const lines = ((await readText(join(folder, link))) ?? '').split('\n');
    for (const line of lines) if (line.startsWith('/')) linked.push(...(await namesIn(line.trim())));
  }
  return [...names, ...linked];
}

async function findInterpreter(python: string): Promise<string> {
  const folders = isAbsolute(python) ? ['/'] : (process.env['PATH'] ?? '').split(':').filter((folder) => folder !== '');
  for (const folder of folders) {
    const candidate = isAbsolute(python) ? python : join(folder, python);
    if (await exists(candidate)) return candidate;
  }
  throw new TowerError('KOHYA_PYTHON_NOT_FOUND', `There is no interpreter ${python} to run sd-scripts with`, {
    next: 'Name the interpreter of the environment of sd-scripts in the configuration.',
    details: { python },
  });
}
