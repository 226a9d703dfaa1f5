import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { legacyKeys } from '../../src/config/legacy-keys.js';
import { ConfigError, loadConfig, type LoadedConfig } from '../../src/config/load-config.js';
import { configSchema } from '../../src/config/schema.js';
import { readServerApiKey } from '../../src/config/secrets.js';
import { packageRoot } from '../../src/files/package-root.js';
import { runTower } from '../support/run-tower.js';

const key = 'old-key-canary-4f7a9c2e';
const example = join(packageRoot, 'docs', 'examples', 'app_settings_tower.json');
let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  await mkdir(join(folder, 'cronjob'));
  file = join(folder, 'cronjob', 'app_settings_tower.json');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const write = (settings: Record<string, unknown>) =>
  writeFile(file, JSON.stringify({ server_api_url: 'http://127.0.0.1:8000/', tower_api_key: key, ...settings }));
const load = (env: Record<string, string> = {}, settings: string[] = []): Promise<LoadedConfig> =>
  loadConfig({ env: { XDG_CONFIG_HOME: folder, ...env }, file, settings });

async function faults(): Promise<ConfigError['faults']> {
  const error: unknown = await load().catch((thrown: unknown) => thrown);
  if (error instanceof ConfigError) return error.faults;
  throw new Error(`expected faults, got ${String(error)}`);
}

describe('the settings file of the original', () => {
  it('is documented by an example that has every key, and whose placeholder key is refused', async () => {
    const shipped = JSON.parse(await readFile(example, 'utf8')) as Record<string, unknown>;
    expect(Object.keys(shipped).sort()).toEqual(Object.keys(legacyKeys).sort());
    await writeFile(file, JSON.stringify(shipped));
    expect((await faults()).map(({ path }) => path)).toEqual(['tower_api_key']);
    await writeFile(file, JSON.stringify({ ...shipped, tower_api_key: key }));
    const { config } = await load();
    // The example holds the original's defaults; Tower's differ in when to train and in the address.
    const { hyperparameters, ...train } = config.train;
    const defaults = configSchema.parse({});
    expect(hyperparameters).toEqual({ ...defaults.train.hyperparameters, computeDtype: 'float16' });
    expect(train).toEqual({ ...without(defaults.train, 'hyperparameters'), when: 'always' });
    expect(config.data).toEqual({
      ...defaults.data,
      legacyDatabase: join(folder, 'cronjob', 'tower_code_snippets.db'),
    });
  });

  it('has every value in effect, with its origin', async () => {
    await write({
      always_run_training_daily: false,
      hf_base_model_name_override: './models/tiny',
      hf_num_epochs_override: '3',
      hf_learning_rate_override: '1e-4',
      bnb_4bit_compute_dtype_str_override: 'torch.bfloat16',
      lora_target_modules_override: ['k_proj'],
      hf_snippet_training_quality_label: 'neutral',
      hf_positive_feedback_types: [],
    });
    const { config, origins } = await load();
    expect(config.server.url).toBe('http://127.0.0.1:8000');
    expect(config.train.when).toBe('changed');
    expect(config.train.hyperparameters).toMatchObject({
      baseModel: join(folder, 'cronjob', 'models', 'tiny'),
      epochs: 3,
      learningRate: 1e-4,
      computeDtype: 'auto',
      lora: { targetModules: ['k_proj'] },
    });
    expect(config.data).toMatchObject({ snippetQualityLabel: 'neutral', positiveFeedbackTypes: [] });
    expect(origins.get('train.hyperparameters.epochs')).toBe(`file ${file}, hf_num_epochs_override`);
  });

  it('trains always when it does not say, as the original does; environment and flags come first', async () => {
    await write({});
    const { config, origins } = await load();
    expect(config.train.when).toBe('always');
    expect(origins.get('train.when')).toBe("the original's default of always_run_training_daily");
    expect((await load({ TOWER_TRAIN_WHEN: 'changed' })).config.train.when).toBe('changed');
    expect((await load({}, ['train.hyperparameters.epochs=7'])).config.train.hyperparameters.epochs).toBe(7);
  });

  it('W17: places the old database against the file, not against the working directory', async () => {
    await write({ tower_db_path: 'data/old.db' });
    expect((await load()).config.data.legacyDatabase).toBe(join(folder, 'cronjob', 'data', 'old.db'));
    await write({ tower_db_path: '/srv/old.db' });
    expect((await load()).config.data.legacyDatabase).toBe('/srv/old.db');
    await write({});
    expect((await load()).config.data.legacyDatabase).toBeUndefined();
    await writeFile(join(folder, 'tower_code_snippets.db'), '');
    expect((await load()).config.data.legacyDatabase).toBe(join(folder, 'tower_code_snippets.db'));
  });

  it('W19: is refused before the first request, with every wrong value at once', async () => {
    await write({
      server_api_url: 'https://example.org/api',
      always_run_training_daily: 'false',
      hf_num_epochs_override: null,
      hf_batch_size_override: 'many',
      hf_grad_accum_override: 1.5,
      hf_max_length_override: 4,
      bnb_load_in_4bit_override: 'yes',
      lora_target_modules_override: 'q_proj',
      hf_snippet_training_quality_label: '',
    });
    expect((await faults()).map(({ path, found }) => `${path} ${found}`)).toEqual([
      'server_api_url "https://example.org/api"',
      'always_run_training_daily "false"',
      'hf_num_epochs_override null',
      'hf_batch_size_override "many"',
      'hf_grad_accum_override 1.5',
      'bnb_load_in_4bit_override "yes"',
      'lora_target_modules_override "q_proj"',
      'hf_snippet_training_quality_label ""',
      'train.hyperparameters.maxLength 4',
    ]);
  });

  it('refuses a missing or placeholder key, unless the key comes from elsewhere', async () => {
    for (const placeholder of ['BITTE_API_KEY_IN_CONFIG_SETZEN', '', undefined]) {
      await write({ tower_api_key: placeholder });
      expect((await faults()).map(({ path }) => path)).toEqual(['tower_api_key']);
      expect((await load({ TOWER_SERVER_API_KEY: 'other' })).config.server.apiKeyFile).toBeUndefined();
    }
  });

  it('gives its key when it is needed, warns of it and never shows it', async () => {
    await write({ no_such_setting: 1, device: 'cuda' });
    const loaded = await load();
    expect(await readServerApiKey(loaded.config, {})).toBe(key);
    expect(loaded.warnings).toEqual([
      expect.stringContaining('device has no effect') as string,
      expect.stringContaining('holds tower_api_key in plain text') as string,
      'unknown to the original and to Tower, ignored: no_such_setting',
    ]);
    expect(JSON.stringify([loaded, [...loaded.origins]])).not.toContain(key);
    const shown = await runTower(['config', 'show', '--origin', '--config', file], {});
    expect(shown.exitCode).toBe(0);
    expect(shown.stdout + shown.stderr).not.toContain(key);
    expect(shown.stderr).toContain('in plain text');
  });

  it.each([
    ['{ "tower_api_key": "' + key + '" "x": 1 }', 'is not valid JSON'],
    ['[]', 'expected one JSON object'],
  ])('says what is wrong with %j without quoting the key', async (content, message) => {
    await writeFile(file, content);
    const run = await runTower(['config', 'check', '--config', file], {});
    expect(run).toMatchObject({ exitCode: 2, stderr: expect.stringContaining(message) as string });
    expect(run.stderr).not.toContain(key);
  });
});

describe('tower config import', () => {
  const target = () => join(folder, 'new', 'tower.toml');
  const run = (...args: string[]) => runTower(['config', 'import', file, '--config', target(), ...args], {});

  it('writes the same configuration as TOML and the key into a file of mode 0600', async () => {
    await write({ tower_db_path: 'old.db', lora_r_override: 8 });
    const before = await load();
    const imported = await run();
    expect(imported.exitCode).toBe(0);
    const keyFile = join(folder, 'new', 'signz-mind.key');
    expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
    expect(await readFile(target(), 'utf8')).not.toContain(key);
    expect(imported.stdout + imported.stderr).not.toContain(key);

    const after = await loadConfig({ env: {}, file: target() });
    expect(without(after.config.server, 'apiKeyFile')).toEqual(without(before.config.server, 'apiKeyFile'));
    expect(without(after.config, 'server')).toEqual(without(before.config, 'server'));
    expect(await readServerApiKey(after.config, {})).toBe(key);
    expect(after.warnings).toEqual([]);
  });

  it('replaces nothing unless told to, and writes nothing of a file with faults', async () => {
    await write({ lora_r_override: 'x' });
    expect(await run()).toMatchObject({ exitCode: 2 });
    await expect(stat(join(folder, 'new'))).rejects.toThrow('ENOENT');
    await write({});
    await run();
    expect(await run()).toMatchObject({ exitCode: 6 });
    expect(await run('--force')).toMatchObject({ exitCode: 0 });
  });
});

function without<T extends object, K extends keyof T>(value: T, name: K): Omit<T, K> {
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== name)) as Omit<T, K>;
}
