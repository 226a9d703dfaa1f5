import fs from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, expect, it, vi } from 'vitest';

import { createLog } from '../../src/log/create-log.js';

afterEach(() => vi.restoreAllMocks());

/** What goes to stderr. */
function stderrLines(): { readonly msg: string; readonly lost?: number }[] {
  const lines: { msg: string }[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((line) => lines.push(JSON.parse(String(line)) as never) > 0);
  return lines;
}

/** @returns the end of the full disk. */
function fillDisk(): () => void {
  const spy = vi.spyOn(fs, 'writeSync').mockImplementation(() => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
  });
  return () => spy.mockRestore();
}

it('fails no call, and goes on at stderr, while its file cannot be written', () => {
  const said = stderrLines();
  const log = createLog({ file: '/dev/full', level: 'info', role: 'test', alsoStderr: true });

  log.info('one');
  log.child({ run: 'r' }).warn('two');

  expect(said.map(({ msg }) => msg)).toEqual(['one', 'the log file cannot be written', 'two']);
});

it('says once that its file cannot be written where nothing else goes to stderr', () => {
  const said = stderrLines();
  const log = createLog({ file: '/dev/full', level: 'info', role: 'test' });

  log.info('one');
  log.info('two');

  expect(said).toMatchObject([{ level: 'error', role: 'test', error: expect.stringContaining('ENOSPC') as string }]);
});

it.each([true, false])('survives a stderr that cannot be written either (alsoStderr: %s)', (alsoStderr) => {
  const listeners = process.stderr.listeners('error') as (() => void)[];
  process.stderr.removeAllListeners('error');
  stderrLines();

  createLog({ file: '/dev/full', level: 'info', role: 'test', alsoStderr }).info('one');

  expect(() => process.stderr.emit('error', new Error('ENOSPC: no space left on device, write'))).not.toThrow();
  for (const listener of listeners) process.stderr.on('error', listener);
});

it('writes what it has kept when there is room again, and says how many lines are lost', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'tower-log-')), 'tower.log');
  const said = stderrLines();
  const log = createLog({ file, level: 'info', role: 'test' });
  const end = fillDisk();
  const megabyte = 'x'.repeat(2 ** 20);
  for (const number of [1, 2, 3, 4, 5, 6]) log.info({ number, megabyte }, 'kept');

  end();
  log.info({ number: 7 }, 'kept');

  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { number: number }).number)).toEqual([1, 2, 3, 7]);
  expect(said).toMatchObject([
    { msg: 'the log file cannot be written' },
    { msg: 'the log file is written again', lost: 3 },
  ]);
});
