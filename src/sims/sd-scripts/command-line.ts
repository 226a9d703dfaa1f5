import { existsSync, readFileSync } from 'node:fs';

import { parse } from 'smol-toml';

import { kohyaOptionNames } from '../../kohya/options.js';
import { log, PythonExit } from './console.js';

/** Options that only the command line, or whoever writes the configuration, sets. */
const furtherNames = [
  'config_file',
  'dataset_config',
  'output_dir',
  'output_name',
  'resume',
  'initial_epoch',
  'initial_step',
  'train_data_dir',
  'save_state',
  'save_model_as',
  'logging_dir',
  'log_with',
  'sample_prompts',
  'console_log_simple',
  'max_train_steps',
];
const flags = new Set(['console_log_simple', 'save_state', 'gradient_checkpointing', 'cache_latents']);

/** Options by name, as the configuration and the command line give them; nothing is checked, as in sd-scripts. */
export type Arguments = Readonly<Record<string, unknown>>;

/**
 * Reads the command line and the configuration that it names: sections are flattened, the command line wins, unknown keys of the
 * configuration are taken without a word.
 *
 * @throws PythonExit 2 for an option that is not known, 1 for a configuration that is not there.
 */
export function readArguments(words: readonly string[]): Arguments {
  const given: Record<string, unknown> = {};
  for (let index = 0; index < words.length;) {
    const name = /^--([a-z0-9_]+)$/.exec(words[index] ?? '')?.[1];
    if (name === undefined || ![...kohyaOptionNames, ...furtherNames].includes(name)) {
      throw new PythonExit(2, `error: unrecognized arguments: ${words[index] ?? ''}`);
    }
    index += 1;
    if (flags.has(name)) {
      given[name] = true;
      continue;
    }
    const value = words[index];
    if (value === undefined) throw new PythonExit(2, `error: argument --${name}: expected one argument`);
    given[name] = ['initial_epoch', 'initial_step'].includes(name) ? Number(value) : value;
    index += 1;
  }
  const { config_file: file } = given;
  if (typeof file !== 'string') return given;
  const path = file.endsWith('.toml') ? file : `${file}.toml`;
  if (!existsSync(path)) {
    log(`${path} not found.`);
    throw new PythonExit(1);
  }
  log(`Loading settings from ${path}...`);
  const configured: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(parse(readFileSync(path, 'utf8')))) {
    Object.assign(configured, isTable(value) ? value : { [key]: value });
  }
  return { ...configured, ...given };
}

export function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

export function numberOf(args: Arguments, name: string, otherwise: number): number {
  const value = args[name];
  return typeof value === 'number' ? value : otherwise;
}

export function textOf(args: Arguments, name: string): string | undefined {
  const value = args[name];
  return typeof value === 'string' ? value : undefined;
}
