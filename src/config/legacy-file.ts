import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, resolve } from 'node:path';

import { TowerError } from '../errors.js';
import type { ConfigFault } from './check-config.js';
import { legacyKeys, LegacyValueFault } from './legacy-keys.js';

/** Where the original puts its database when nothing is said: beside the folder of its scripts. */
const defaultDatabase = '../tower_code_snippets.db';
const secretKeys = new Set(['tower_api_key']);

interface LegacyEntry {
  readonly path: readonly string[];
  readonly value: unknown;
  readonly origin: string;
}

/** An `app_settings_tower.json`, as settings of Tower. */
export interface LegacyConfig {
  readonly entries: readonly LegacyEntry[];
  readonly faults: readonly ConfigFault[];
  readonly warnings: readonly string[];
}

/** Files of the original are JSON; Tower's own are TOML. */
export function isLegacyFile(file: string): boolean {
  return file.toLowerCase().endsWith('.json');
}

/**
 * Reads a settings file of the original tower (contract signz-mind 5.1) as it is: every key, all faults at once. Relative
 * paths are taken from the file's own folder, wherever Tower is started (W17).
 *
 * @param hasOtherKey whether the server's key comes from elsewhere, so that a placeholder in the file is no fault.
 * @throws TowerError `CONFIG_UNREADABLE` when the file is missing or not a JSON object.
 */
export async function readLegacyConfig(file: string, hasOtherKey: boolean): Promise<LegacyConfig> {
  const values = await readObject(file);
  const entries: LegacyEntry[] = [];
  const faults: ConfigFault[] = [];
  const warnings: string[] = [];
  for (const [name, key] of Object.entries(legacyKeys)) {
    if (secretKeys.has(name) && hasOtherKey) continue;
    const origin = `file ${file}, ${name}`;
    const value = values[name];
    if (value === undefined && !isDemanded(name)) {
      if (key.fallback !== undefined && key.setting !== undefined) {
        entries.push({ path: key.setting, value: key.fallback, origin: `the original's default of ${name}` });
      }
      continue;
    }
    try {
      const read = key.read(value);
      if (key.setting !== undefined) entries.push({ path: key.setting, value: placed(name, read, file), origin });
      if (key.unused !== undefined) warnings.push(`${name} has no effect: ${key.unused}`);
    } catch (error) {
      if (!(error instanceof LegacyValueFault)) throw error;
      faults.push({ path: name, found: shown(name, value), expected: error.message, origin: `file ${file}` });
    }
  }
  if (values['tower_db_path'] === undefined) entries.push(...databaseAtDefaultPlace(file));
  if (!hasOtherKey && values['tower_api_key'] !== undefined) {
    entries.push({ path: ['server', 'apiKeyFile'], value: file, origin: `file ${file}, tower_api_key` });
    warnings.push(
      `${file} holds tower_api_key in plain text; \`tower config import ${file}\` moves it to a file of mode 0600`,
    );
  }
  const unknown = Object.keys(values).filter((name) => !(name in legacyKeys));
  if (unknown.length > 0) warnings.push(`unknown to the original and to Tower, ignored: ${unknown.join(', ')}`);
  return { entries, faults, warnings };
}

/** The value of `tower_api_key`, for the moment in which it is needed. `undefined` when there is none. */
export async function readLegacyKey(file: string): Promise<string | undefined> {
  const value = (await readObject(file))['tower_api_key'];
  return typeof value === 'string' ? value : undefined;
}

async function readObject(file: string): Promise<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse((await readFile(file, 'utf8')).replace(/^\uFEFF/, ''));
  } catch (error) {
    const isSyntax = error instanceof SyntaxError;
    throw new TowerError('CONFIG_UNREADABLE', isSyntax ? `${file} is not valid JSON` : `cannot read the file ${file}`, {
      // The parser's message quotes the text, in which a key may stand.
      ...(!isSyntax && { cause: error }),
      next: isSyntax
        ? 'Look for a missing comma or quotation mark; `python3 -m json.tool` names the line.'
        : 'Name the app_settings_tower.json of the old tower, or a TOML file.',
    });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new TowerError('CONFIG_UNREADABLE', `${file}: expected one JSON object with the settings`, {
    next: 'Compare it with docs/examples/app_settings_tower.json.',
  });
}

/** Without these the original would ask its author's server, or end at once. */
function isDemanded(name: string): boolean {
  return name === 'server_api_url' || name === 'tower_api_key';
}

function placed(name: string, value: unknown, file: string): unknown {
  if (typeof value !== 'string') return value;
  const isModelFolder = name === 'hf_base_model_name_override' && /^\.\.?\//.test(value);
  if (name !== 'tower_db_path' && !isModelFolder) return value;
  return isAbsolute(value) ? value : resolve(dirname(file), value);
}

function databaseAtDefaultPlace(file: string): LegacyEntry[] {
  const value = resolve(dirname(file), defaultDatabase);
  if (!existsSync(value)) return [];
  return [{ path: ['data', 'legacyDatabase'], value, origin: "the original's default of tower_db_path" }];
}

function shown(name: string, value: unknown): string {
  if (value === undefined) return 'nothing';
  return secretKeys.has(name) ? 'a value that is not shown' : JSON.stringify(value);
}
