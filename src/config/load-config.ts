import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { parse as parseToml, TomlError } from 'smol-toml';

import { TowerError } from '../errors.js';
import { checkConfig, type ConfigFault } from './check-config.js';
import { environmentName, leavesOf, valueFromText } from './leaves.js';
import { isLegacyFile, readLegacyConfig } from './legacy-file.js';
import { configFile, stateDirectory } from './locations.js';
import { configSchema, type Config } from './schema.js';
import { serverApiKeyVariable } from './secrets.js';

/** Where a value came from, in words: `default`, `file <path>`, `environment <NAME>` or `flag --set`. */
export type Origin = string;

export interface LoadedConfig {
  readonly config: Config;
  /** The state directory (`TOWER_HOME`): ledger, runs, logs, embedded database. */
  readonly home: string;
  /** The file that was read, if there was one. */
  readonly file: string | undefined;
  /** Origin by dotted path, for every value that does not come from the defaults. */
  readonly origins: ReadonlyMap<string, Origin>;
  /** What is accepted and should be changed, in sentences. */
  readonly warnings: readonly string[];
}

export interface ConfigSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `--config`; a file that is named but missing is a fault. */
  readonly file?: string | undefined;
  /** `--home`. */
  readonly home?: string | undefined;
  /** `--set path=value`, as given. */
  readonly settings?: readonly string[];
}

/** All faults of a configuration at once, each with path, value found, value expected and origin. */
export class ConfigError extends TowerError {
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const lines = faults.map((fault) => `  ${fault.path}: found ${fault.found}, ${fault.expected} (${fault.origin})`);
    super('CONFIG_INVALID', `the configuration has ${faults.length} fault(s):\n${lines.join('\n')}`, {
      next: 'Correct them; `tower config check` looks again.',
      details: { faults },
    });
    this.faults = faults;
  }
}

/**
 * Reads the configuration: defaults, then the file, then `TOWER_…` variables, then flags; the later wins. The file is TOML,
 * or the `app_settings_tower.json` of the original.
 *
 * @throws ConfigError with all faults at once; TowerError `CONFIG_UNREADABLE` when the file is missing or not readable as such.
 */
export async function loadConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const origins = new Map<string, Origin>();
  const values = emptyTable();
  const warnings: string[] = [];
  const legacyFaults: ConfigFault[] = [];
  const file = await configFile(sources);
  if (file !== undefined && isLegacyFile(file)) {
    const legacy = await readLegacyConfig(file, hasKeyElsewhere(sources));
    for (const { path, value, origin } of legacy.entries) put(values, origins, path, value, origin);
    warnings.push(...legacy.warnings);
    legacyFaults.push(...legacy.faults);
  } else if (file !== undefined) {
    const table = await readTable(file);
    for (const [path, value] of entriesOf(table)) put(values, origins, path, value, `file ${file}`);
  }
  const leaves = leavesOf(configSchema);
  for (const leaf of leaves) {
    const name = environmentName(leaf.path);
    const text = sources.env[name];
    if (text !== undefined && text !== '') {
      put(values, origins, leaf.path, valueFromText(leaf.schema, text), `environment ${name}`);
    }
  }
  for (const setting of sources.settings ?? []) {
    const [, name, text] = /^([^=]+)=(.*)$/s.exec(setting) ?? [];
    if (name === undefined || text === undefined) {
      throw new TowerError('USAGE', `--set expects path=value, found ${JSON.stringify(setting)}`, {
        next: 'For example: --set train.when=always',
      });
    }
    const path = name.trim().split('.');
    const leaf = leaves.find((candidate) => candidate.path.join('.') === path.join('.'));
    put(values, origins, path, leaf ? valueFromText(leaf.schema, text) : text, 'flag --set');
  }
  const checked = checkConfig(values, origins);
  const faults = [...legacyFaults, ...('faults' in checked ? checked.faults : [])];
  if ('faults' in checked || faults.length > 0) throw new ConfigError(faults);
  return { config: checked.config, home: stateDirectory(sources), file, origins, warnings };
}

/** Whether the server's key is given outside the configuration file. */
function hasKeyElsewhere({ env, settings = [] }: ConfigSources): boolean {
  const variables = [env[serverApiKeyVariable], env[environmentName(['server', 'apiKeyFile'])]];
  return (
    variables.some((value) => value !== undefined && value.trim() !== '') ||
    settings.some((setting) => setting.trim().startsWith('server.apiKeyFile='))
  );
}

async function readTable(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new TowerError('CONFIG_UNREADABLE', `cannot read the configuration file ${file}`, {
      cause: error,
      next: '`tower config init` writes a new one.',
    });
  }
  try {
    return parseToml(text);
  } catch (error) {
    const place = error instanceof TomlError ? `:${error.line}:${error.column}` : '';
    throw new TowerError('CONFIG_UNREADABLE', `${resolve(file)}${place} is not valid TOML`, {
      cause: error,
      next: 'Correct the line; strings stand in double quotes.',
    });
  }
}

/** Leaves of a TOML table; arrays are values, not tables. */
function entriesOf(table: Record<string, unknown>, path: readonly string[] = []): [readonly string[], unknown][] {
  return Object.entries(table).flatMap(([key, value]): [readonly string[], unknown][] =>
    isTable(value) ? entriesOf(value, [...path, key]) : [[[...path, key], value]],
  );
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Without a prototype: a setting called `__proto__` is one more unknown key. */
function emptyTable(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

function put(
  values: Record<string, unknown>,
  origins: Map<string, Origin>,
  path: readonly string[],
  ...[value, origin]: [unknown, Origin]
): void {
  let table = values;
  for (const key of path.slice(0, -1)) {
    const next = table[key];
    table = isTable(next) ? next : (table[key] = emptyTable());
  }
  table[path.at(-1) ?? ''] = value;
  origins.set(path.join('.'), origin);
}
