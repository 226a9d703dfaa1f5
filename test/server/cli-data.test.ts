import { createHash } from 'node:crypto';
import { mkdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import Libsql from 'libsql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DailyMachine } from '../support/daily-machine.js';
import { runTower, type TowerRun } from '../support/run-tower.js';
import { feedback, snippet } from '../support/signz-mind.js';

let machine: DailyMachine;
const firstTime = '2026-01-12T13:00:00.000Z';
const versions = ['adapter_ft_20260112_130000', 'adapter_ft_20260113_130000'] as const;

beforeAll(async () => {
  machine = await DailyMachine.create({ settings: { evaluate: { whenUnmeasured: 'promote' } } });
  await machine.tower.startControl();
  await machine.tower.startGpu();
});
afterAll(() => machine.close());

/** In this process: so many commands would cost a minute as processes of their own. */
function tower(...args: string[]): Promise<TowerRun> {
  const { home, configFile } = machine.tower;
  return runTower(args, { TOWER_HOME: home, TOWER_CONFIG: configFile, NO_COLOR: '1' });
}

async function json<Value>(...args: string[]): Promise<{ exitCode: number | undefined; value: Value }> {
  const { exitCode, stdout } = await tower(...args, '--json');
  return { exitCode, value: JSON.parse(stdout) as Value };
}

async function cycle(logicalTime: string): Promise<void> {
  const handle = await machine.startCycle({ logicalTime, forcePromote: true });
  await machine.delivered((await handle.result()).deliveries);
}

const file = (name: string) => join(machine.tower.home, name);

interface Listing {
  batches: { name: string; state: string; lines: number; reason: string | null }[];
}

describe('tower data', () => {
  it('says that there is no ledger where none is', async () => {
    expect(await json('--home', file('elsewhere'), 'data', 'list')).toMatchObject({
      exitCode: 6,
      value: { error: { code: 'LEDGER_MISSING' } },
    });
  });

  it('imports a local file once, and names line and reason of a bad row', async () => {
    await writeFile(file('mine.jsonl'), `${snippet({ uuid: 'local-1' })}\n5\n${feedback({ uuid: 'local-2' })}\n`);
    const first = await json<{ batch: string }>('data', 'import', file('mine.jsonl'));
    expect(first).toMatchObject({ exitCode: 0, value: { added: true, lines: 3, rows: { new: 2, quarantined: 1 } } });
    expect(await json('data', 'import', file('mine.jsonl'))).toMatchObject({
      exitCode: 0,
      value: { batch: first.value.batch, added: false },
    });
    expect(await json('data', 'show', first.value.batch)).toMatchObject({
      value: {
        batch: { origin: 'local', state: 'imported' },
        quarantined: [{ line: 2, reason: expect.anything() as string }],
      },
    });
    expect((await tower('data', 'quarantine', 'show', first.value.batch)).stdout).toMatch(
      /line 2: expected a JSON object/,
    );
    expect(await tower('data', 'quarantine', 'retry', first.value.batch)).toMatchObject({ exitCode: 6 });
  });

  it('refuses a file that holds no row, and keeps nothing of it', async () => {
    await writeFile(file('picture.jsonl'), Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3]));
    const { exitCode, value } = await json<{ error: { code: string } }>('data', 'import', file('picture.jsonl'));
    expect({ exitCode, value }).toMatchObject({ exitCode: 1, value: { error: { code: 'BATCH_FILE_FAULT' } } });
    expect(await json('data', 'import', file('missing.jsonl'))).toMatchObject({ exitCode: 5 });
    expect((await json<Listing>('data', 'list')).value.batches).toHaveLength(1);
  });

  it("takes over an old tower database once, without touching it; the editor's own rows come before it", async () => {
    const path = file('tower_code_snippets.db');
    oldDatabase(path);
    const before = await sha256(path);
    const taken = await json<{ batch: string }>('data', 'import', '--legacy-db', path);
    expect(taken).toMatchObject({ exitCode: 0, value: { added: true, lines: 3, rows: { new: 3 } } });
    expect(taken.value.batch).toMatch(/^legacy-tower_code_snippets-[0-9a-f]{12}\.jsonl$/);
    expect(await json('data', 'import', '--legacy-db', path)).toMatchObject({ value: { added: false } });
    expect(await sha256(path)).toBe(before);

    // Edited before the old tower imported the last version: the original would lose it (W5).
    await upload(snippet({ uuid: 'old-1', content: 'edited()', last_modified_utc: '2025-05-01T00:00:00.000Z' }));
    await cycle(firstTime);
    const { value } = await json<{ stored: unknown[]; versions: unknown[] }>('data', 'show', 'old-1');
    expect(value).toMatchObject({
      stored: [{ content: 'edited()' }],
      versions: [{ batch: taken.value.batch, state: 'replaced' }, { state: 'stored' }],
    });
  });

  it('proves that every row is accounted for, and says what is not', async () => {
    const sound = await json<{ lines: number; stored: number; superseded: number; quarantined: number }>(
      'data',
      'check',
    );
    expect(sound).toMatchObject({ exitCode: 0, value: { sound: true } });
    const { lines, stored, superseded, quarantined } = sound.value;
    expect(lines).toBe(stored + superseded + quarantined);

    const copy = file('damaged');
    await mkdir(copy);
    await writeFile(join(copy, 'ledger.db'), await readFile(machine.tower.paths.ledger));
    await writeFile(join(copy, 'ledger.db-wal'), await readFile(`${machine.tower.paths.ledger}-wal`).catch(() => ''));
    const damaged = new Libsql(join(copy, 'ledger.db'));
    damaged.exec("DELETE FROM feedback WHERE uuid = 'local-2'");
    damaged.close();
    const { exitCode, stdout } = await tower('--home', copy, 'data', 'check');
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/local-mine-\w+\.jsonl: rows in: 3 noted, 2 found/);
  });

  it('exports the training set without noting anything', async () => {
    const before = await sha256(machine.tower.paths.ledger);
    const { exitCode, value } = await json<{ trainPath: string; trainSamples: number; heldOutSamples: number }>(
      'data',
      'export',
      file('set'),
    );
    expect(exitCode).toBe(0);
    const train = (await readFile(value.trainPath, 'utf8')).trimEnd().split('\n');
    expect(train).toHaveLength(value.trainSamples);
    expect(await sha256(machine.tower.paths.ledger)).toBe(before);
    expect(await tower('data', 'export', file('set'), '--format', 'other')).toMatchObject({ exitCode: 2 });
  });

  it('lets a batch that was set aside be dropped, and be tried again', async () => {
    const name = await upload('not a row\n');
    for (const day of ['13', '14', '15']) await cycle(`2026-01-${day}T13:00:00.000Z`);
    expect((await tower('data', 'quarantine', 'list')).stdout).toContain(`none of its 1 lines is a row`);
    expect(await tower('data', 'quarantine', 'drop', name, '--reason', 'a test')).toMatchObject({ exitCode: 0 });
    expect(await json('data', 'show', name)).toMatchObject({
      value: { batch: { reason: 'dropped by hand: a test', droppedAt: expect.anything() as string } },
    });
    expect(await tower('data', 'quarantine', 'retry', name)).toMatchObject({ exitCode: 0 });
    expect(await json('data', 'show', name)).toMatchObject({
      value: { batch: { state: 'downloaded', failedCycles: 0, droppedAt: null } },
    });
    expect(await tower('data', 'quarantine', 'drop', 'no-such-batch.jsonl')).toMatchObject({ exitCode: 5 });
  });
});

describe('tower adapters', () => {
  interface Adapters {
    adapters: { version: string; champion: boolean; deliveryText: string }[];
  }
  const champion = async () =>
    (await json<Adapters>('adapters', 'list')).value.adapters.find((adapter) => adapter.champion)?.version;

  it('are listed with champion and delivery, shown and compared', async () => {
    await upload(snippet({ uuid: 'later', content: 'later()', path: '/later.py' }));
    await cycle('2026-01-20T13:00:00.000Z');
    const { value } = await json<Adapters>('adapters', 'list');
    expect(value.adapters.length).toBeGreaterThanOrEqual(2);
    expect(value.adapters.every(({ deliveryText }) => deliveryText === 'yes')).toBe(true);
    expect(await champion()).toBe('adapter_ft_20260120_130000');
    expect((await tower('adapters', 'show', versions[0])).stdout).toMatch(/fingerprint +[0-9a-f]{64}/);
    expect(await json('adapters', 'compare', versions[0])).toMatchObject({
      value: { versions: [{ version: versions[0] }, { champion: true }], sameTrainingSet: false },
    });
    expect(await tower('adapters', 'show', 'adapter_ft_none')).toMatchObject({ exitCode: 5 });
  });

  it('go back to the champion before, with the reason on record; the server is left alone', async () => {
    const effects = machine.effects();
    expect(await tower('adapters', 'rollback')).toMatchObject({ exitCode: 2 });
    expect(await json('adapters', 'rollback', '--reason', 'it stutters')).toMatchObject({ exitCode: 0 });
    expect(await champion()).toBe(versions[0]);
    expect(machine.effects()).toEqual(effects);
    expect(await json('adapters', 'show', versions[0])).toMatchObject({
      value: { championChanges: [{ cause: 'rollback', reason: 'it stutters' }, { cause: 'gate' }] },
    });
  });

  it('are promoted by hand, and delivered again under a new version when asked for', async () => {
    expect(await tower('adapters', 'promote', 'adapter_ft_20260120_130000', '--reason', 'was fine')).toMatchObject({
      exitCode: 0,
    });
    expect(await champion()).toBe('adapter_ft_20260120_130000');
    const again = await json<{ target: string; deliveries: string[] }>(
      ...['adapters', 'rollback', versions[0], '--reason', 'for good', '--deliver'],
    );
    expect(again.exitCode).toBe(0);
    await machine.delivered(again.value.deliveries);
    expect(await champion()).toBe(again.value.target);
    expect(machine.effects().at(-1)).toBe(`/model/upload ${again.value.target}`);
    const weights = (version: string) =>
      sha256(join(machine.tower.paths.runs, version, 'output', 'adapter', 'adapter_model.safetensors'));
    expect(await weights(again.value.target)).toBe(await weights(versions[0]));
  });
});

describe('tower report', () => {
  it.each([firstTime, versions[0], `deliver-adapter/${versions[0]}`, `tower-daily-2026-01-12T13:00:00Z`])(
    'is one page without anything from elsewhere (%s)',
    async (name) => {
      const { exitCode, stdout } = await tower('report', name);
      expect(exitCode).toBe(0);
      const page = await readFile(stdout.trim(), 'utf8');
      expect(page).toContain('simulated');
      expect(page).toContain('aria-label="Loss over optimiser steps"');
      expect(page).toContain('adapter_model.safetensors');
      expect(page).not.toMatch(/<script|https?:|@import|url\(|src=/);
      expect((await stat(stdout.trim().replace('.html', '.json'))).size).toBeGreaterThan(100);
    },
  );

  it('escapes what came in, and is there for the newest cycle and for none that never was', async () => {
    await upload(`${snippet({ uuid: 'x' })}\n{"type": "<script>alert(1)</script>"}`);
    await cycle('2026-01-21T13:00:00.000Z');
    const { stdout } = await tower('report');
    const page = await readFile(stdout.trim(), 'utf8');
    expect(page).toContain('&lt;script&gt;alert(1)');
    expect(page).not.toContain('<script');
    expect(await tower('report', '2020-01-01T00:00:00Z')).toMatchObject({ exitCode: 5 });
  });
});

describe('W11', () => {
  it('housekeeping applies the retention', async () => {
    const partial = join(machine.tower.paths.packages, '.half.zip.tmp');
    await writeFile(partial, 'half');
    await utimes(partial, 0, 0);
    const handle = await machine.tower.client.workflow.start('housekeeping', {
      taskQueue: 'tower',
      workflowId: 'housekeeping-by-test',
    });
    expect(await handle.result()).toMatchObject({ removed: 1, silentHosts: [] });
    await expect(stat(partial)).rejects.toThrow('ENOENT');
  });
});

const upload = (content: string) => machine.upload(content);

async function sha256(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/** As the original makes it (contract signz-mind 3.2), without triggers. */
function oldDatabase(path: string): void {
  const database = new Libsql(path);
  database.exec(`
    CREATE TABLE snippets (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT, path TEXT UNIQUE NOT NULL,
      content TEXT NOT NULL, timestamp DATETIME DEFAULT CURRENT_TIMESTAMP, quality_label TEXT DEFAULT 'neutral',
      last_modified_utc TEXT);
    CREATE TABLE ki_feedback (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT, timestamp DATETIME,
      source_code_context TEXT NOT NULL, ai_action_type TEXT NOT NULL, ai_generated_output TEXT NOT NULL,
      user_feedback_type TEXT NOT NULL, original_file_path TEXT, notes TEXT, last_modified_utc TEXT);
    INSERT INTO snippets (uuid, path, content, timestamp, quality_label, last_modified_utc) VALUES
      ('old-1', '/a.py', 'a()', '2025-05-01 10:00:00', 'gut (Training)', '2025-06-01T13:00:00.000Z'),
      (NULL, '/b.py', 'b()', '2025-05-02 10:00:00', 'gut (Training)', NULL);
    INSERT INTO ki_feedback (uuid, timestamp, source_code_context, ai_action_type, ai_generated_output,
      user_feedback_type) VALUES ('old-3', '2025-05-03 10:00:00', 'x =', 'suggestion', ' 1', 'suggestion_used');
  `);
  database.close();
}
