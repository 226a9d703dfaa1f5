import { readFile } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';

import { parse as parseToml } from 'smol-toml';

import { describeError, TowerError } from '../errors.js';
import { jobFaults } from './job-faults.js';
import { withAbsolutePaths } from './job-paths.js';
import { characterJobSchema, type CharacterJob } from './job.js';
import { renameUpstreamKeys } from './upstream-keys.js';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Checks a job, with Tower's keys or those of the original's task payloads.
 *
 * @throws TowerError `CHARACTER_JOB_INVALID` (not retryable) with every fault, one a line: path, what was found, what is expected.
 */
export function parseCharacterJob(input: unknown): CharacterJob {
  const { fields, faults } = renameUpstreamKeys(input);
  const parsed = characterJobSchema.safeParse(fields);
  if (parsed.success && faults.length === 0) return parsed.data;
  const all = [...faults, ...(parsed.success ? [] : jobFaults(parsed.error, fields))];
  throw new TowerError('CHARACTER_JOB_INVALID', `the job does not fit:\n${all.join('\n')}`, {
    next: 'docs/character-lora.md lists every key of a job.',
  });
}

/**
 * Reads a job file, TOML or JSON by its extension, without checking its values: flags may still be laid over it. Its relative
 * paths are meant from its folder.
 *
 * @throws TowerError `CHARACTER_JOB_INVALID`
 */
export async function readJobFile(path: string): Promise<Fields> {
  let content: unknown;
  try {
    const text = await readFile(path, 'utf8');
    content = extname(path).toLowerCase() === '.json' ? JSON.parse(text) : parseToml(text);
  } catch (error) {
    throw new TowerError('CHARACTER_JOB_INVALID', `${path} cannot be read as a job: ${describeError(error)}`, {
      next: 'A job file is TOML, or JSON with the extension .json.',
      cause: error,
    });
  }
  const { fields, faults } = renameUpstreamKeys(content);
  if (faults.length > 0) {
    throw new TowerError('CHARACTER_JOB_INVALID', `${path} does not fit:\n${faults.join('\n')}`, {
      next: 'docs/character-lora.md lists every key of a job.',
    });
  }
  return withAbsolutePaths(fields, dirname(resolve(path)));
}

/** Lays one job over another: what `over` gives counts, section by section. */
export function mergeJobs(under: Fields, over: Fields): Fields {
  const merged: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const below = merged[key];
    merged[key] = isSection(key) && isTable(below) && isTable(value) ? mergeJobs(below, value) : value;
  }
  return merged;
}

/** A graph is one value, although it is a table. */
function isSection(key: string): boolean {
  return key !== 'graph';
}

function isTable(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
