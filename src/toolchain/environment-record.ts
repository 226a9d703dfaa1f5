import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { namesIn } from '../files/absent.js';
import { sha256Of } from '../files/sha256.js';
import { writeJsonDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';

export type TrainerDevice = 'cpu' | 'cuda';

const recordSchema = z.object({
  device: z.enum(['cpu', 'cuda']),
  /** SHA-256 of the requirements file, lower-case hex. */
  requirements: z.string(),
  pythonVersion: z.string(),
  /** Installed packages by name. */
  versions: z.record(z.string(), z.string()),
});

/** Written last: an environment without it is half built. */
export type EnvironmentRecord = z.output<typeof recordSchema>;

export interface CompleteEnvironment {
  readonly python: string;
  readonly record: EnvironmentRecord;
}

export interface EnvironmentKey {
  readonly cacheDirectory: string;
  readonly device: TrainerDevice;
  readonly requirements: string;
}

function parentOf(cacheDirectory: string): string {
  return join(cacheDirectory, 'trainer');
}

/** `<cache>/trainer/<device>-<hash>`: one folder for each device, set of requirements and version of Python. */
export function environmentDirectory(key: EnvironmentKey, pythonVersion: string): string {
  const hash = sha256Of(`${key.requirements}\n${pythonVersion}`).slice(0, 16);
  return join(parentOf(key.cacheDirectory), `${key.device}-${hash}`);
}

export function environmentPython(directory: string): string {
  return join(directory, 'bin', 'python');
}

/** SHA-256 of a requirements file, lower-case hex. */
export async function hashRequirements(path: string): Promise<string> {
  return sha256Of(await readFile(path, 'utf8'));
}

/** A complete environment with these requirements for this device, whatever Python it was made with. */
export async function findEnvironment(key: EnvironmentKey): Promise<CompleteEnvironment | undefined> {
  const parent = parentOf(key.cacheDirectory);
  // Locks, and environments that are being removed, lie beside.
  const isEnvironment = new RegExp(`^${key.device}-[0-9a-f]{16}$`);
  for (const name of (await namesIn(parent)).filter((found) => isEnvironment.test(found)).sort()) {
    const found = await readEnvironment(join(parent, name));
    if (found?.record.requirements === key.requirements) return found;
  }
  return undefined;
}

/** The environment in a folder if it is complete and the Python it was made from is still there. */
export async function readEnvironment(directory: string): Promise<CompleteEnvironment | undefined> {
  const record = await readJsonIfExists(recordFile(directory), recordSchema);
  if (record === undefined) return undefined;
  const python = environmentPython(directory);
  const runs = await access(python, constants.X_OK).then(
    () => true,
    () => false,
  );
  return runs ? { python, record } : undefined;
}

export async function completeEnvironment(directory: string, record: EnvironmentRecord): Promise<void> {
  await writeJsonDurable(recordFile(directory), record);
}

function recordFile(directory: string): string {
  return join(directory, 'complete.json');
}
