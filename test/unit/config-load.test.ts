import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { environmentName, leavesOf } from '../../src/config/leaves.js';
import { ConfigError, loadConfig, type ConfigSources } from '../../src/config/load-config.js';
import { cacheDirectory, stateDirectory } from '../../src/config/locations.js';
import { configSchema } from '../../src/config/schema.js';

let folder: string;
let file: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tower-'));
  file = join(folder, 'tower.toml');
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const load = (sources: Partial<ConfigSources>) => loadConfig({ env: { XDG_CONFIG_HOME: folder }, ...sources });

async function faultsOf(sources: Partial<ConfigSources>): Promise<ConfigError['faults']> {
  const error: unknown = await load(sources).then(
    () => new Error('the configuration was taken'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ConfigError) return error.faults;
  throw error;
}

describe('where values come from', () => {
  it('is the defaults when nothing is given', async () => {
    const { config, file: read, origins } = await load({});
    expect(config).toEqual(configSchema.parse({}));
    expect(read).toBeUndefined();
    expect(origins.size).toBe(0);
  });

  it('is the guide of the prompt evolution for its own numbers', () => {
    expect(configSchema.parse({}).syntx).toMatchObject({
      ...{ generation: { count: 20 }, wrapper: { timeoutSeconds: 1800 }, consume: { threshold: 90 } },
      clean: { temporaryHours: 24, brokenHours: 24, logDays: 90 },
    });
  });

  it('is flag over environment over file over default, each known by name', async () => {
    await writeFile(file, '[train]\nwhen = "always"\nstallMinutes = 5\ndevice = "cpu"\n[gpu]\nstopGraceSeconds = 3\n');
    const { config, origins } = await load({
      file,
      env: { TOWER_TRAIN_WHEN: 'changed', TOWER_TRAIN_STALL_MINUTES: '7' },
      settings: ['train.stallMinutes=9'],
    });
    expect(config.train).toMatchObject({ when: 'changed', stallMinutes: 9, device: 'cpu' });
    expect(config.gpu.stopGraceSeconds).toBe(3);
    expect(Object.fromEntries(origins)).toEqual({
      'train.when': 'environment TOWER_TRAIN_WHEN',
      'train.stallMinutes': 'flag --set',
      'train.device': `file ${file}`,
      'gpu.stopGraceSeconds': `file ${file}`,
    });
  });

  it('is refused when it is no setting, also when its name is that of a JavaScript prototype', async () => {
    const faults = await faultsOf({ settings: ['__proto__.polluted=1', 'constructor.prototype.polluted=1'] });
    expect(faults.map(({ path }) => path).toSorted()).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('is the named file, TOWER_CONFIG, or the file in the XDG configuration folder', async () => {
    await writeFile(file, 'host = "named"\n');
    expect((await load({ env: { TOWER_CONFIG: file, XDG_CONFIG_HOME: folder } })).config.host).toBe('named');
    await expect(load({ file: join(folder, 'none.toml') })).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE' });
  });

  it('is not an empty variable', async () => {
    expect((await load({ env: { TOWER_TRAIN_WHEN: '' } })).config.train.when).toBe('changed');
  });
});

describe('texts of the environment and of --set', () => {
  it.each([
    ['gpu.devices=auto', (c: Loaded) => c.gpu.devices, 'auto'],
    ['gpu.devices=0', (c: Loaded) => c.gpu.devices, [0]],
    ['gpu.devices=0, 2', (c: Loaded) => c.gpu.devices, [0, 2]],
    ['gpu.devices=[1]', (c: Loaded) => c.gpu.devices, [1]],
    ['data.snippets=false', (c: Loaded) => c.data.snippets, false],
    ['data.positiveFeedbackTypes=a, b', (c: Loaded) => c.data.positiveFeedbackTypes, ['a', 'b']],
    ['data.snippetQualityLabel=7', (c: Loaded) => c.data.snippetQualityLabel, '7'],
    ['server.url=http://h/a=b', (c: Loaded) => c.server.url, 'http://h/a=b'],
  ])('%s', async (setting, pick, value) => {
    expect(pick((await load({ settings: [setting] })).config)).toEqual(value);
  });

  it('have one variable for each setting, and no two settings share one', () => {
    const names = leavesOf(configSchema).map(({ path }) => environmentName(path));
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('TOWER_TRAIN_STALL_MINUTES');
    // The key itself is no setting, so its variable must not be one.
    expect(names).not.toContain('TOWER_SERVER_API_KEY');
  });
});

describe('faults', () => {
  it('are reported all at once with path, value, expectation and origin', async () => {
    await writeFile(file, '[train]\nwhen = 7\n[nonsense]\ndeep = { er = 1 }\n');
    const faults = await faultsOf({
      file,
      env: { TOWER_TEMPORAL_PORT: '99999' },
      settings: ['schedules.timezone=Mars/Base'],
    });
    expect(faults.map(({ path, origin }) => [path, origin])).toEqual(
      expect.arrayContaining([
        ['train.when', `file ${file}`],
        ['nonsense', `file ${file}`],
        ['temporal.port', 'environment TOWER_TEMPORAL_PORT'],
        ['schedules.timezone', 'flag --set'],
      ]),
    );
    expect(faults).toHaveLength(4);
    expect(faults.find(({ path }) => path === 'schedules.timezone')).toMatchObject({
      found: '"Mars/Base"',
      expected: expect.stringContaining('Europe/Berlin') as string,
    });
  });

  it('are told of the prompt evolution before a run meets them', async () => {
    const settings = ['syntx.timezone=Berlin', 'syntx.monitor.incomingLow=40', 'syntx.monitor.incomingHigh=30'];
    const faults = await faultsOf({ settings });
    expect(faults).toMatchObject([
      { path: 'syntx.timezone', found: '"Berlin"', expected: expect.stringContaining('Europe/Berlin') as string },
      { path: 'syntx.monitor.incomingLow', expected: expect.stringContaining('incomingHigh') as string },
    ]);
  });

  it.each(['apiKey', 'token', 'password', 'clientSecret'])('never show a value called %s', async (name) => {
    await writeFile(file, `[server]\n${name} = "canary-4711"\n`);
    const faults = await faultsOf({ file });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toMatchObject({ path: `server.${name}`, found: 'a value that is not shown' });
    expect(JSON.stringify(faults)).not.toContain('canary-4711');
  });

  it('name the line and column of broken TOML', async () => {
    await writeFile(file, 'host = "box"\n[train\n');
    await expect(load({ file })).rejects.toMatchObject({
      code: 'CONFIG_UNREADABLE',
      message: expect.stringMatching(/tower\.toml:2:\d+ is not valid TOML/) as string,
    });
  });

  it.each(['train.when', '=always', 'train'])('refuse --set %s', async (setting) => {
    await expect(load({ settings: [setting] })).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('hosts', () => {
  const hosts = async (names: readonly string[]): Promise<string> => {
    await writeFile(file, names.map((name) => `[[hosts]]\nname = "${name}"\ngpus = 2\n`).join(''));
    return (await faultsOf({ file })).map(({ path, expected }) => `${path}: ${expected}`).join('\n');
  };

  it('may not share a task queue with a GPU of another', async () => {
    expect(await hosts(['box', 'attic', 'box-1'])).toBe(
      'hosts: expected a task queue for each host and GPU, but GPU 1 of host box and host box-1 share gpu-box-1: rename a host',
    );
  });

  it('stand once, under a name that a queue can carry', async () => {
    expect(await hosts(['box', 'box'])).toContain('host box and host box share gpu-box');
    expect(await hosts(['big box'])).toContain('hosts.0.name: expected letters, digits, dot, dash or underscore');
  });

  it('are taken when their queues differ', async () => {
    await writeFile(file, '[[hosts]]\nname = "box"\n[[hosts]]\nname = "box-1"\n');
    expect((await load({ file })).config.hosts).toEqual([
      { name: 'box', gpus: 1 },
      { name: 'box-1', gpus: 1 },
    ]);
  });
});

describe('folders', () => {
  it('follow TOWER_HOME, --home and XDG, in that order from the end', () => {
    const env = { TOWER_HOME: '/env', XDG_STATE_HOME: '/xdg', XDG_CACHE_HOME: '/cache' };
    expect(stateDirectory({ env, home: '/flag' })).toBe('/flag');
    expect(stateDirectory({ env })).toBe('/env');
    expect(stateDirectory({ env: { ...env, TOWER_HOME: '' } })).toBe('/xdg/tower');
    expect(cacheDirectory(env)).toBe('/cache/tower');
  });

  it('ignore relative XDG values, as the specification says', () => {
    expect(stateDirectory({ env: { XDG_STATE_HOME: 'relative' } })).toBe(join(homedir(), '.local/state/tower'));
  });
});

type Loaded = Awaited<ReturnType<typeof loadConfig>>['config'];
