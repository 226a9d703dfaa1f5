import { appendFile, copyFile, mkdir, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { followLines, readLastLines } from '../../src/cli/logs/follow-file.js';
import { runTower } from '../support/run-tower.js';
import { waitUntil } from '../support/wait-until.js';

let home: string;
let file: string;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'tower-'));
  file = join(home, 'logs', 'tower.log');
  await mkdir(dirname(file));
});

afterEach(async () => {
  await rm(home, { recursive: true, force: true });
});

const line = (fields: Record<string, unknown>) =>
  `${JSON.stringify({ level: 'info', time: '2026-01-31T13:00:00.000Z', role: 'control', pid: 1, msg: 'hello', ...fields })}\n`;
const logs = (...args: string[]) => runTower(['logs', ...args], { TOWER_HOME: home, NO_COLOR: '1', TZ: 'UTC' });
const messages = (stdout: string) =>
  stdout
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => (JSON.parse(text) as { msg: string }).msg);

describe('tower logs', () => {
  it('shows the last lines for people: time, level, role, message, then the rest', async () => {
    await writeFile(file, line({ msg: 'old' }) + line({ level: 'warn', msg: 'disk is low', freeGigabytes: 1 }));
    const { exitCode, stdout } = await logs('-n', '1');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^\[2026-01-31 \d\d:00:00\] WARN: control: disk is low \{"freeGigabytes":1\}\n$/);
  });

  it('prints the very lines of the file with --json', async () => {
    const text = line({ msg: 'one', nested: { list: [1, 2] } });
    await writeFile(file, text);
    expect((await logs('--json')).stdout).toBe(text);
  });

  it('filters by level and by any id of a run, and counts only lines that are shown', async () => {
    const many = Array.from({ length: 5_000 }, (_, index) => line({ msg: `noise ${index}`, run: 'other' })).join('');
    const wanted = [
      line({ msg: 'a', run: 'r1', level: 'debug' }),
      line({ msg: 'b', workflowId: 'r1' }),
      line({ msg: 'c', version: 'r1', level: 'error' }),
      line({ msg: 'd', level: 'fatal', run: 'r1' }),
    ];
    await writeFile(file, wanted.slice(0, 2).join('') + many + wanted.slice(2).join(''));
    expect(messages((await logs('--json', '--run', 'r1')).stdout)).toEqual(['a', 'b', 'c', 'd']);
    expect(messages((await logs('--json', '--run', 'r1', '--level', 'warn')).stdout)).toEqual(['c', 'd']);
    expect(messages((await logs('--json', '--run', 'r1', '-n', '3')).stdout)).toEqual(['b', 'c', 'd']);
  });

  it('is not stopped by a torn or foreign line', async () => {
    await writeFile(file, `${line({ msg: 'one' })}{"level":"in\nSegmentation fault\n${line({ msg: 'two' })}{"torn`);
    expect(messages((await logs('--json')).stdout)).toEqual(['one', 'two']);
    expect((await logs()).stdout).toContain('Segmentation fault');
  });

  it('says that there is no log yet', async () => {
    await rm(dirname(file), { recursive: true });
    const { exitCode, stderr } = await logs();
    expect(exitCode).toBe(5);
    expect(stderr).toContain(file);
  });
});

describe('reading the end of a file', () => {
  it('finds lines that cross the borders of blocks, and longer than a block', async () => {
    const lines = ['short', 'ä'.repeat(100_000), 'x'.repeat(70_000), 'ß', 'end'];
    await writeFile(file, `${lines.join('\n')}\n`);
    for (let count = 0; count <= lines.length; count += 1) {
      expect((await readLastLines(file, count, () => true))?.lines).toEqual(count === 0 ? [] : lines.slice(-count));
    }
  });
});

describe('following a file', () => {
  let stop: AbortController;
  let seen: string[];
  let following: Promise<void>;

  async function follow(): Promise<void> {
    stop = new AbortController();
    seen = [];
    const start = await readLastLines(file, 0, () => true);
    const onLine = (text: string) => seen.push(text);
    following = followLines(file, start?.position, { signal: stop.signal, onLine, periodMs: 20 });
  }

  afterEach(async () => {
    stop.abort();
    await following;
  });

  const until = (count: number) => waitUntil(`${count} lines`, () => seen.length >= count, 10_000);

  it('reports new lines once they are whole', async () => {
    await writeFile(file, 'before\n');
    await follow();
    await appendFile(file, 'one\ntw');
    await until(1);
    await appendFile(file, 'o\nthree\n');
    await until(3);
    expect(seen).toEqual(['one', 'two', 'three']);
  });

  it('loses nothing when the file is renamed and a new one takes its place', async () => {
    await writeFile(file, 'before\n');
    await follow();
    await appendFile(file, 'one\n');
    await rename(file, `${file}.1`);
    // Its writer still has it open, and writes on until it opens the new one.
    await appendFile(`${file}.1`, 'two\n');
    await writeFile(file, 'three\n');
    await until(3);
    await appendFile(file, 'four\n');
    await until(4);
    expect(seen).toEqual(['one', 'two', 'three', 'four']);
  });

  it('starts again when the file is copied away and truncated', async () => {
    await writeFile(file, 'before\n');
    await follow();
    await appendFile(file, 'one, which is longer than what follows\n');
    await until(1);
    await copyFile(file, `${file}.1`);
    await truncate(file);
    await appendFile(file, 'two\n');
    await until(2);
    expect(seen.at(-1)).toBe('two');
  });

  it('waits for a file that is not there yet', async () => {
    await follow();
    await writeFile(file, 'first\n');
    await until(1);
    expect(seen).toEqual(['first']);
  });
});
