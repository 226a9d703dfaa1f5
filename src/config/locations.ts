import { homedir } from 'node:os';
import { isAbsolute, join, resolve } from 'node:path';

import { exists } from '../files/exists.js';

type Environment = Readonly<Record<string, string | undefined>>;

/** `TOWER_HOME`, `--home`, or `tower` in the XDG state folder. */
export function stateDirectory(sources: { readonly home?: string | undefined; readonly env: Environment }): string {
  const given = sources.home ?? sources.env['TOWER_HOME'];
  if (given !== undefined && given !== '') return resolve(given);
  return join(xdg(sources.env, 'XDG_STATE_HOME', '.local/state'), 'tower');
}

/** The cache that all checkouts share: Temporal CLI and the trainer's Python environment, each built once. */
export function cacheDirectory(env: Environment): string {
  return join(xdg(env, 'XDG_CACHE_HOME', '.cache'), 'tower');
}

/** Where `tower config init` writes when no file is named. */
export function defaultConfigFile(env: Environment): string {
  return join(xdg(env, 'XDG_CONFIG_HOME', '.config'), 'tower', 'tower.toml');
}

/** The file to read: `--config`, `TOWER_CONFIG`, or the default file if it exists. */
export async function configFile(sources: {
  readonly file?: string | undefined;
  readonly env: Environment;
}): Promise<string | undefined> {
  const named = sources.file ?? sources.env['TOWER_CONFIG'];
  if (named !== undefined && named !== '') return resolve(named);
  const fallback = defaultConfigFile(sources.env);
  return (await exists(fallback)) ? fallback : undefined;
}

/** An XDG folder; relative values are invalid by the XDG specification and ignored. */
function xdg(env: Environment, name: string, fallback: string): string {
  const value = env[name];
  return value !== undefined && isAbsolute(value) ? value : join(homedir(), fallback);
}
