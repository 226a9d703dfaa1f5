import type { Command } from 'commander';

import type { ConfigSources, LoadedConfig } from '../config/load-config.js';
import { statePaths, type StatePaths } from '../config/state-paths.js';
import { createOutput, type Output } from './output.js';

/** Options that every command takes. */
export interface GlobalOptions {
  readonly home?: string;
  readonly config?: string;
  readonly set?: readonly string[];
  readonly json?: boolean;
}

/** What the action of a command works with. */
export interface CommandContext extends LoadedConfig {
  readonly output: Output;
  readonly paths: StatePaths;
}

export function outputOf(command: Command): Output {
  return createOutput(command.optsWithGlobals<GlobalOptions>().json ?? false);
}

export function configSourcesOf(command: Command): ConfigSources {
  const options = command.optsWithGlobals<GlobalOptions>();
  return { env: process.env, file: options.config, home: options.home, settings: options.set ?? [] };
}

/**
 * Reads the configuration for a command; faults of it end the command with exit code 2. The schema is loaded here and not
 * before, because `--help` needs none.
 */
export async function contextOf(command: Command): Promise<CommandContext> {
  const { loadConfig } = await import('../config/load-config.js');
  const loaded = await loadConfig(configSourcesOf(command));
  const output = outputOf(command);
  for (const warning of loaded.warnings) output.say(`warning ${warning}`);
  return { ...loaded, output, paths: statePaths(loaded.home) };
}
