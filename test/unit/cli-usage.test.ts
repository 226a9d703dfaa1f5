import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { runTower } from '../support/run-tower.js';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const tower = (...args: string[]) =>
  runTower(args, { TOWER_HOME: join(folder, 'state'), XDG_CONFIG_HOME: join(folder, 'config'), NO_COLOR: '1' });

async function fileWith(text: string): Promise<string> {
  const file = join(folder, 'tower.toml');
  await writeFile(file, text);
  return file;
}

describe('wrong usage ends with 2 and says what was expected', () => {
  it.each([
    [['stats'], "unknown command 'stats'"],
    [['watch'], "missing required argument 'workflow id'"],
    [['status', 'please'], 'too many arguments'],
    [['logs', '--lines', 'many'], 'Expected a whole number'],
    [['logs', '--level', 'loud'], 'expected one of debug, info, warn, error, found loud'],
    [['run', 'daily', '--wait', '--timeout', '5 bananas'], 'such as 90s, 5m or 1.5h'],
    [['run', 'daily', '--timeout', '5m'], 'there is no --wait'],
    [['trainer', 'install', '--device', 'tpu'], 'Allowed choices are auto, cpu, cuda'],
    [['sim', 'signz', '--port', '70000'], 'Expected a port from 0 to 65535'],
    [['schedule', 'unpause', 'daily', '--note', ' '], 'Expected some words'],
    [['config', 'show', '--set', 'train.when'], '--set expects path=value, found "train.when"'],
    [['data', 'list', '--state', 'lost'], 'Allowed choices are listed, downloaded'],
    [['data', 'export', 'folder', '--format', 'csv'], 'Allowed choices are editor, original'],
    [['data', 'import'], 'expected a file of JSON lines, or --legacy-db'],
    [['adapters', 'promote', 'adapter_ft_20260112_130000'], "required option '--reason <text>' not specified"],
    [['schedule', 'remove'], "required option '--all' not specified"],
    [['--home'], 'argument missing'],
  ])('%j', async (args, message) => {
    const { exitCode, stdout, stderr } = await tower(...args);
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain('[USAGE]');
  });

  it('points to the help of the command that was meant', async () => {
    expect((await tower('watch')).stderr).toContain('`tower watch --help` shows what it expects');
    expect((await tower('data', 'list', '--state', 'lost')).stderr).toContain('`tower data list --help`');
    expect((await tower('stats')).stderr).toContain('`tower --help` lists the commands');
  });

  it('names the likely command', async () => {
    expect((await tower('statsu')).stderr).toContain('Did you mean status?');
  });

  it('prints errors as JSON on stdout with --json, wherever the flag stands', async () => {
    for (const args of [
      ['--json', 'watch'],
      ['watch', '--json'],
    ]) {
      const { exitCode, stdout, stderr } = await tower(...args);
      expect({ exitCode, stderr }).toEqual({ exitCode: 2, stderr: '' });
      expect(JSON.parse(stdout)).toEqual({
        error: {
          code: 'USAGE',
          message: "missing required argument 'workflow id'",
          next: expect.stringContaining('tower watch --help') as string,
          retryable: false,
        },
      });
    }
  });
});

describe('help', () => {
  it('lists the commands on stdout and ends with 0', async () => {
    const { exitCode, stdout } = await tower('--help');
    expect(exitCode).toBe(0);
    for (const command of [
      'up',
      'demo',
      'worker',
      'status',
      'run',
      'watch',
      'cancel',
      'pause',
      'resume',
      'data',
      'adapters',
      'report',
      'schedule',
      'logs',
      'trainer',
      'config',
      'sim',
    ]) {
      expect(stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
    }
  });

  it('prints the version', async () => {
    expect((await tower('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('faults of the configuration', () => {
  it('are all named at once, each with what was found, what was expected and where it stands', async () => {
    const file = await fileWith('colour = "red"\n[train]\nwhen = "sometimes"\n');
    const { exitCode, stderr } = await tower('config', 'check', '--config', file, '--set', 'temporal.port=high');
    expect(exitCode).toBe(2);
    expect(stderr).toContain('3 fault(s)');
    expect(stderr).toMatch(/colour: found "red", expected no such setting.* \(file .*tower\.toml\)/);
    expect(stderr).toMatch(/train\.when: found "sometimes", .*\(file .*tower\.toml\)/);
    expect(stderr).toMatch(/temporal\.port: found "high", .*\(flag --set\)/);
  });

  it('names line and column of broken TOML', async () => {
    const file = await fileWith('[train]\nwhen = changed\n');
    const { exitCode, stderr } = await tower('config', 'check', '--config', file);
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(/tower\.toml:2:\d+ is not valid TOML/);
  });

  it('names a file that was asked for and is missing', async () => {
    const { exitCode, stderr } = await tower('config', 'check', '--config', join(folder, 'none.toml'));
    expect(exitCode).toBe(2);
    expect(stderr).toContain('none.toml');
    expect(stderr).toContain('tower config init');
  });

  it('refuses a key in the file without showing it, in text and in JSON', async () => {
    const file = await fileWith('[server]\napiKey = "canary-4711"\n');
    const text = await tower('config', 'check', '--config', file);
    const json = await tower('config', 'check', '--config', file, '--json');
    expect([text.exitCode, json.exitCode]).toEqual([2, 2]);
    expect(text.stderr).toContain('server.apiKeyFile');
    expect(JSON.stringify([text, json])).not.toContain('canary-4711');
  });
});

describe('config', () => {
  it('writes a file in which nothing is set, and does not replace it unasked', async () => {
    const file = join(folder, 'new', 'tower.toml');
    expect((await tower('config', 'init', '--config', file)).exitCode).toBe(0);
    expect((await stat(file)).isFile()).toBe(true);
    expect(await readFile(file, 'utf8')).toContain('TOWER_TRAIN_WHEN');
    const shown = JSON.parse((await tower('config', 'show', '--origin', '--config', file, '--json')).stdout) as {
      settings: { origin: string }[];
    };
    expect(new Set(shown.settings.map(({ origin }) => origin))).toEqual(new Set(['default']));
    expect(await tower('config', 'init', '--config', file)).toMatchObject({
      exitCode: 6,
      stderr: expect.stringContaining('--force') as string,
    });
    expect((await tower('config', 'init', '--config', file, '--force')).exitCode).toBe(0);
  });
});

describe('without a ledger', () => {
  it.each([[['data', 'list']], [['data', 'check']], [['adapters', 'list']], [['report']]])(
    '%j ends with 6 and names where it would be',
    async (args) => {
      const { exitCode, stderr } = await tower(...args);
      expect(exitCode).toBe(6);
      expect(stderr).toMatch(/no ledger at .*ledger\.db \[LEDGER_MISSING\]/);
    },
  );
});

it('config check says what a valid configuration still lacks', async () => {
  const bare = await tower('config', 'check');
  expect(bare).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('server.url is not set') as string });
  const whole = await tower('config', 'check', '--set', 'server.url=https://example.com');
  expect(whole).toMatchObject({ exitCode: 0, stderr: '' });
  const withoutDaily = await tower('config', 'check', '--set', 'schedules.daily.enabled=false');
  expect(withoutDaily).toMatchObject({ exitCode: 0, stderr: '' });
});

describe('without a server', () => {
  it.each([[['run', 'daily']], [['watch', 'daily-cycle']], [['cancel', 'daily-cycle']], [['schedule', 'list']]])(
    '%j ends with 6 and says how to start one',
    async (args) => {
      const { exitCode, stderr } = await tower(...args);
      expect(exitCode).toBe(6);
      expect(stderr).toContain('tower up');
    },
  );

  it('takes an empty address for none', async () => {
    const { exitCode, stderr } = await runTower(['watch', 'x'], { TOWER_HOME: folder, TEMPORAL_ADDRESS: '' });
    expect(exitCode).toBe(6);
    expect(stderr).toContain('[NO_TEMPORAL_SERVER]');
  });

  it('tells an address where nothing answers from a missing one', async () => {
    const { exitCode, stdout } = await runTower(['watch', 'daily-cycle', '--json'], {
      TOWER_HOME: folder,
      TEMPORAL_ADDRESS: '127.0.0.1:1',
    });
    expect(exitCode).toBe(6);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'TEMPORAL_UNREACHABLE', retryable: true } });
  });

  it('status still shows what this machine knows', async () => {
    const { exitCode, stdout } = await tower('status', '--json', '--set', 'gpu.devices=0');
    expect(exitCode).toBe(6);
    expect(JSON.parse(stdout)).toMatchObject({
      server: { reachable: false, error: { code: 'NO_TEMPORAL_SERVER' } },
      gpus: [{ index: 0, state: 'free' }],
      lastCycle: null,
      undelivered: [],
      problems: [expect.stringContaining('tower up') as string],
    });
  });
});
