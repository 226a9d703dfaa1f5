import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { execa } from 'execa';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { readCacheLines } from '../../src/syntx/queue/evidence-lines.js';
import { WorkSlices } from '../../src/work-slices.js';
import { baseName, processedMetadata, QueueWorld } from '../support/syntx-queue.js';

const script = fileURLToPath(new URL('fixtures/syntx-evidence-reader.js', import.meta.url));

let world: QueueWorld;
beforeEach(() => {
  world = new QueueWorld();
  mkdirSync(world.path('.tower'));
  mkdirSync(world.path('.tmp'));
});
afterEach(() => world.close());

async function fill(first: number, last: number): Promise<void> {
  for (let number = first; number <= last; number++) {
    const place = (['processed', 'error', 'archive'] as const)[number % 3]!;
    const at = `2026-01-05T05:00:00.${String(number).padStart(6, '0')}`;
    const metadata = processedMetadata(baseName(number), { processed_at: at });
    await world.put(place, baseName(number), { metadata });
  }
}

interface Reading {
  readonly jobs: readonly unknown[];
  readonly warnings: readonly string[];
}

/**
 * Reads the evidence in a process of its own.
 *
 * @param mostKib no file that it writes may become larger, as on a disk that is full.
 */
async function read({ mostKib }: { readonly mostKib?: number } = {}): Promise<Reading> {
  const limit = mostKib === undefined ? 'unlimited' : String(mostKib);
  const { stdout } = await execa('bash', [
    '-c',
    `ulimit -f ${limit} && exec "$0" "$@"`,
    process.execPath,
    script,
    world.root,
  ]);
  return JSON.parse(stdout) as Reading;
}

/** Reads the evidence in a process that kills itself in a call of the file system. */
async function readAndDie(call: string): Promise<void> {
  const { signal } = await execa(process.execPath, [script, world.root, call], { reject: false });
  expect(signal).toBe('SIGKILL');
}

const cacheName = () => world.names('.tower').find((name) => name.startsWith('evidence'));

/** How many lines of the cache are whole, and how many are not. */
async function cacheLines(): Promise<{ whole: number; damaged: number }> {
  const lines = { whole: 0, damaged: 0 };
  for await (const line of readCacheLines(world.path('.tower', cacheName() ?? 'none'), new WorkSlices())) {
    lines[line === undefined ? 'damaged' : 'whole'] += 1;
  }
  return lines;
}

/** What is found when nothing was read before. */
async function readAfresh(): Promise<Reading> {
  rmSync(world.path('.tower', cacheName() ?? 'none'));
  return read();
}

it.each([
  ['writeFile', 'half staged'],
  ['rename', 'staged'],
])('a kill with the first cache %s (%s) leaves the next process to read all jobs', async (call) => {
  await fill(1, 40);
  await readAndDie(call);
  expect(world.names('.tmp')).toEqual([expect.stringContaining('evidence-')]);
  expect(cacheName()).toBeUndefined();
  const next = await read();
  expect(await cacheLines()).toEqual({ whole: 40, damaged: 0 });
  expect(next).toMatchObject({ jobs: { length: 40 }, warnings: [] });
  expect(await readAfresh()).toEqual(next);
});

it('a kill with a cache half appended to leaves the next process to read the rest, and to mend it', async () => {
  await fill(1, 40);
  await read();
  await fill(41, 70);
  await readAndDie('appendFile');
  const torn = await cacheLines();
  expect(torn.damaged).toBe(1);
  expect(torn.whole).toBeGreaterThan(40);
  expect(torn.whole).toBeLessThan(70);
  const next = await read();
  expect(await cacheLines()).toEqual({ whole: 70, damaged: 0 });
  expect(next).toMatchObject({ jobs: { length: 70 }, warnings: [] });
  expect(await readAfresh()).toEqual(next);
});

it.each(['.tower', '.tmp'])('a file in the place of %s costs nothing but time, and is said', async (directory) => {
  await fill(1, 40);
  const expected = await read();
  rmSync(world.path('.tower'), { recursive: true });
  rmSync(world.path(directory), { recursive: true, force: true });
  writeFileSync(world.path(directory), '');
  if (directory === '.tmp') mkdirSync(world.path('.tower'));
  for (let time = 1; time <= 2; time++) {
    const { jobs, warnings } = await read();
    expect(jobs).toEqual(expected.jobs);
    expect(warnings).toEqual(['what was read of settled jobs could not be kept: every run reads all of them: ENOTDIR']);
  }
});

it('a write that the system ends half way costs nothing but time, and is said', async () => {
  const warnings = ['what was read of settled jobs could not be kept: every run reads all of them: EFBIG'];
  await fill(1, 40);
  expect(await read({ mostKib: 1 })).toMatchObject({ jobs: { length: 40 }, warnings });
  expect({ cache: cacheName(), staged: world.names('.tmp') }).toEqual({ cache: undefined, staged: [] });
  await read();
  await fill(41, 70);
  const limited = await read({ mostKib: 8 });
  expect(limited).toMatchObject({ jobs: { length: 70 }, warnings });
  const free = await read();
  expect(free).toEqual({ jobs: limited.jobs, warnings: [] });
  expect(await cacheLines()).toEqual({ whole: 70, damaged: 0 });
});
