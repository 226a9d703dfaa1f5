import { stringify } from 'smol-toml';

import { defaultConfigFile } from '../../config/locations.js';
import { environmentName, leavesOf, type Leaf } from '../../config/leaves.js';
import type { ConfigSources, LoadedConfig } from '../../config/load-config.js';
import { configSchema } from '../../config/schema.js';
import { TowerError } from '../../errors.js';
import { writeFileDurable } from '../../files/durable-write.js';
import { exists } from '../../files/exists.js';

interface DescribedConfig {
  json(withOrigin: boolean): unknown;
  text(withOrigin: boolean): string;
}

/** Every setting with its value, and where it comes from. No secret is a setting, so none can be printed. */
export function describeConfig(loaded: LoadedConfig): DescribedConfig {
  const settings = leavesOf(configSchema).map(({ path }) => ({
    path: path.join('.'),
    value: valueAt(loaded.config, path) ?? null,
    origin: loaded.origins.get(path.join('.')) ?? 'default',
  }));
  const width = Math.max(...settings.map(({ path }) => path.length));
  return {
    json: (withOrigin) => ({
      home: loaded.home,
      file: loaded.file ?? null,
      settings: settings.map(({ origin, ...setting }) => (withOrigin ? { ...setting, origin } : setting)),
    }),
    text: (withOrigin) =>
      [
        `# state directory: ${loaded.home}`,
        `# file: ${loaded.file ?? 'none'}`,
        ...settings.map(({ path, value, origin }) => {
          const line = `${path.padEnd(width)} = ${value === null ? '(not set)' : JSON.stringify(value)}`;
          return withOrigin ? `${line}   # ${origin}` : line;
        }),
      ].join('\n'),
  };
}

/**
 * Writes a file in which every setting stands commented out with its default.
 *
 * @throws TowerError `FILE_EXISTS` unless `force`.
 */
export async function writeConfigTemplate(sources: ConfigSources, force: boolean): Promise<string> {
  const file = sources.file ?? sources.env['TOWER_CONFIG'] ?? defaultConfigFile(sources.env);
  if (!force && (await exists(file))) {
    throw new TowerError('FILE_EXISTS', `${file} exists already`, { next: 'Use --force to replace it.' });
  }
  await writeFileDurable(file, template());
  return file;
}

function template(): string {
  const defaults = configSchema.parse({});
  const lines = [
    '# Tower. Every setting is shown with its default; take away the # to change one.',
    '# An environment variable (named at each setting) comes before this file, --set path=value before both.',
    '# Secrets do not belong here: TOWER_SERVER_API_KEY, or a file of mode 0600 named in server.apiKeyFile.',
  ];
  for (const [table, leaves] of byTable(leavesOf(configSchema))) {
    if (table !== '') lines.push('', `[${table}]`);
    for (const { path, description } of leaves) {
      const name = path.at(-1) ?? '';
      const value = valueAt(defaults, path);
      lines.push(`# ${description ?? name} (${environmentName(path)})`);
      lines.push(value === undefined ? `# ${name} =` : `# ${name} = ${tomlValue(value)}`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** On one line; tables as inline tables, because a setting that is commented out must not open one. */
function tomlValue(value: unknown): string {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const entries = Object.entries(value).map(([key, entry]) => `${JSON.stringify(key)} = ${tomlValue(entry)}`);
    return `{ ${entries.join(', ')} }`;
  }
  return stringify({ value })
    .trim()
    .replace(/^value = /, '');
}

/** Settings outside any table come first, and no table is opened twice, as TOML demands. */
function byTable(leaves: readonly Leaf[]): Map<string, Leaf[]> {
  const tables = new Map<string, Leaf[]>([['', []]]);
  for (const leaf of leaves) {
    const table = leaf.path.slice(0, -1).join('.');
    tables.set(table, [...(tables.get(table) ?? []), leaf]);
  }
  return tables;
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((table, key) => (table as Record<string, unknown> | undefined)?.[key], value);
}
