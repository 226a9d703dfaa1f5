import { access } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { stringify } from 'smol-toml';

import { checkConfig } from '../../config/check-config.js';
import { isLegacyFile, readLegacyConfig, readLegacyKey } from '../../config/legacy-file.js';
import { ConfigError, type ConfigSources } from '../../config/load-config.js';
import { defaultConfigFile } from '../../config/locations.js';
import { TowerError } from '../../errors.js';
import { writeFileDurable } from '../../files/durable-write.js';

export interface ImportedConfig {
  /** The TOML file. */
  readonly file: string;
  /** The file of mode 0600 that has the server's key now. */
  readonly keyFile: string;
  readonly warnings: readonly string[];
}

/**
 * Writes the settings of an `app_settings_tower.json` as TOML, and its key into a file of its own. The old file is not
 * changed.
 *
 * @throws ConfigError with all faults of the old file; TowerError `FILE_EXISTS` unless `force`, `CONFIG_UNREADABLE`.
 */
export async function importConfig(oldFile: string, sources: ConfigSources, force: boolean): Promise<ImportedConfig> {
  const source = resolve(oldFile);
  const file = resolve(sources.file ?? sources.env['TOWER_CONFIG'] ?? defaultConfigFile(sources.env));
  if (isLegacyFile(file)) {
    throw new TowerError('USAGE', `--config names the file to write, expected one that ends in .toml, found ${file}`);
  }
  const keyFile = join(dirname(file), 'signz-mind.key');
  if (!force) for (const path of [file, keyFile]) await refuseExisting(path);

  const { entries, faults, warnings } = await readLegacyConfig(source, false);
  const settings = entries.map((entry) =>
    entry.path.join('.') === 'server.apiKeyFile' ? { ...entry, value: keyFile } : entry,
  );
  const table = nested(settings);
  const checked = checkConfig(table, new Map(settings.map(({ path, origin }) => [path.join('.'), origin])));
  const all = [...faults, ...('faults' in checked ? checked.faults : [])];
  if (all.length > 0) throw new ConfigError(all);

  await writeFileDurable(keyFile, `${(await readLegacyKey(source))?.trim() ?? ''}\n`, 0o600);
  const head = [
    `# Settings of ${source}, written by \`tower config import\`.`,
    '# `tower config init` lists all others.',
  ];
  await writeFileDurable(file, `${head.join('\n')}\n\n${stringify(table)}`);
  return { file, keyFile, warnings: warnings.filter((warning) => !warning.includes('tower_api_key')) };
}

function nested(
  entries: readonly { readonly path: readonly string[]; readonly value: unknown }[],
): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const { path, value } of entries) {
    let table = root;
    for (const key of path.slice(0, -1)) table = (table[key] ??= {}) as Record<string, unknown>;
    table[path.at(-1) ?? ''] = value;
  }
  return root;
}

async function refuseExisting(path: string): Promise<void> {
  try {
    await access(path);
  } catch {
    return;
  }
  throw new TowerError('FILE_EXISTS', `${path} exists already`, { next: 'Use --force to replace it.' });
}
