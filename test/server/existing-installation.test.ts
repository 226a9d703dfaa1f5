import { readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import Libsql from 'libsql';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { serverApiKeyVariable } from '../../src/config/secrets.js';
import { packageRoot } from '../../src/files/package-root.js';
import { sha256OfFile } from '../../src/files/sha256.js';
import { DailyMachine } from '../support/daily-machine.js';
import { runTower } from '../support/run-tower.js';
import { snippet } from '../support/signz-mind.js';
import { startUpProcess, type UpProcess } from '../support/up-process.js';
import { waitUntil } from '../support/wait-until.js';

const example = join(packageRoot, 'docs', 'examples', 'app_settings_tower.json');
let machine: DailyMachine;
let up: UpProcess;
let settings: string;
let database: string;
/** What the old file cannot say: that this is a test. */
let environment: Record<string, string>;

beforeAll(async () => {
  machine = await DailyMachine.create({ serverless: true });
  const folder = join(machine.tower.home, 'old', 'cronjob');
  await mkdir(folder, { recursive: true });
  settings = join(folder, 'app_settings_tower.json');
  database = join(folder, 'tower_code_snippets.db');
  makeDatabase();
  const shipped = JSON.parse(await readFile(example, 'utf8')) as Record<string, unknown>;
  await writeFile(
    settings,
    JSON.stringify({ ...shipped, server_api_url: machine.signz.address, tower_api_key: machine.towerKey }),
  );
  environment = {
    TOWER_HOME: machine.tower.home,
    TOWER_CONFIG: settings,
    TOWER_HOST: 'box',
    TOWER_GPU_DEVICES: '[0]',
    TOWER_GPU_LOCK_DIRECTORY: join(machine.tower.home, 'locks'),
    TOWER_TRAIN_TRAINER: 'simulated',
    TOWER_TRAIN_MINIMUM_FREE_GIGABYTES: '0',
    TOWER_SERVER_DELIVER_SIMULATED: 'true',
    TOWER_WORKER_HEARTBEAT_SECONDS: '1',
    // Never while tests run.
    TOWER_SCHEDULES_DAILY_CRON: '0 13 29 2 *',
  };
  const inherited = { ...machine.tower.environment, [serverApiKeyVariable]: undefined };
  up = await startUpProcess({ ...inherited, ...environment });
});
afterAll(async () => {
  up.signal('SIGTERM');
  await up.ended;
  await machine.close();
});

it('runs on the old settings file and the old database, unchanged, and never writes its key', async () => {
  const before = await sha256OfFile(database);
  await waitUntil('the rows of the old database', async () => {
    const { stdout } = await runTower(['data', 'list', '--json'], environment);
    return stdout.includes('"origin": "legacy"') && stdout.includes('"state": "imported"');
  });
  const name = await machine.upload(snippet());

  const { exitCode, stdout } = await runTower(['run', 'daily', '--wait', '--json'], environment);

  expect(exitCode).toBe(0);
  const { result } = JSON.parse(stdout) as { result: Record<string, unknown> };
  expect(result).toMatchObject({ outcome: 'trained', ingest: { imported: 1 } });
  const { stdout: listing } = await runTower(['data', 'list', '--json'], environment);
  expect(JSON.parse(listing)).toMatchObject({
    batches: expect.arrayContaining([
      expect.objectContaining({ origin: 'legacy', lines: 2, newRows: 2, trainingRows: 2 }),
      expect.objectContaining({ name, origin: 'server' }),
    ]) as unknown,
  });
  // The server never had the old rows: nothing of them is marked there.
  expect(machine.effects().filter((effect) => effect.includes('legacy'))).toEqual([]);
  expect(await sha256OfFile(database)).toBe(before);
  expect(readFileSync(machine.tower.paths.logFile, 'utf8')).not.toContain(machine.towerKey);
});

function makeDatabase(): void {
  const connection = new Libsql(database);
  connection.exec(`
    CREATE TABLE snippets (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT, path TEXT UNIQUE NOT NULL,
      content TEXT NOT NULL, timestamp DATETIME, quality_label TEXT, last_modified_utc TEXT);
    INSERT INTO snippets (uuid, path, content, timestamp, quality_label, last_modified_utc) VALUES
      ('old-1', '/a.py', 'def a(): return 1', '2025-05-01 10:00:00', 'gut (Training)', '2025-06-01T13:00:00.000Z'),
      ('old-2', '/b.py', 'def b(): return 2', '2025-05-02 10:00:00', 'gut (Training)', '2025-06-01T13:00:00.000Z');
  `);
  connection.close();
}
