import { promises, renameSync } from 'node:fs';
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { setImmediate } from 'node:timers/promises';

import { afterEach, beforeEach, expect, it } from 'vitest';

import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { failure } from '../support/server-faults.js';
import {
  baseName,
  goodAnswer,
  owner,
  poorAnswer,
  processedMetadata,
  QueueWorld,
  scored,
} from '../support/syntx-queue.js';

let world: QueueWorld;
let source: QueueWorld;
let queue: SyntxQueue;

beforeEach(() => {
  world = new QueueWorld();
  source = new QueueWorld();
  queue = world.open();
});
afterEach(() => {
  world.close();
  source.close();
});

const failedName = (index: number, count: number) => `${baseName(index)}__retry${count}`;

it('an import of a queue directory keeps every stage, replaces nothing, and adds nothing the second time', async () => {
  await source.put('incoming', baseName(1));
  await source.put('processing', baseName(2));
  await source.put('processed', baseName(3), { metadata: processedMetadata(baseName(3)), response: goodAnswer });
  await source.put('error', `${baseName(4)}__retry1`, { metadata: { status: 'error' } });
  await source.put('archive', baseName(5), { metadata: processedMetadata(baseName(5)) });
  await source.put('incoming', baseName(6), { metadata: '{' });
  await source.put('incoming', baseName(7));
  await world.put('processed', baseName(7), { prompt: 'done here already' });

  const result = await queue.import(source.root);
  expect(result.imported.map(({ place }) => place)).toEqual(['incoming', 'incoming', 'processed', 'error', 'archive']);
  expect(result.skipped.map(({ reason }) => reason)).toEqual([
    expect.stringContaining('no JSON'),
    'a job of this name is here',
  ]);
  expect(world.text('processed', `${baseName(3)}_response.txt`)).toBe(goodAnswer);
  expect((await queue.claim({ owner, claim: '1' }))?.baseName).toBe(baseName(1));
  expect((await queue.import(source.root)).imported).toEqual([]);
  expect(source.names('processing')).toHaveLength(2);
});

it('an import of one job under several names takes the first of them', async () => {
  await source.put('incoming', baseName(9));
  await source.put('error', failedName(1, 3), { metadata: { status: 'error' } });
  await source.put('archive', baseName(1), { metadata: processedMetadata(baseName(1)) });
  await source.put('processed', baseName(2), { metadata: processedMetadata(baseName(2)) });
  await source.put('error', failedName(2, 2), { metadata: { status: 'error' } });
  // Here already, and failed anew with every import.
  await world.put('error', failedName(3, 5), { metadata: { status: 'error' } });
  await source.put('archive', baseName(3), { metadata: processedMetadata(baseName(3)) });
  const { imported, skipped } = await queue.import(source.root);
  expect(imported.map(({ baseName: name }) => name)).toEqual([baseName(9), baseName(2), failedName(1, 3)]);
  expect(skipped).toHaveLength(3);
  expect(world.faults()).toEqual([]);
});

it('an import sees what has failed within one tick of the file system’s clock', async () => {
  await source.put('incoming', baseName(1));
  await source.put('archive', baseName(2), { metadata: processedMetadata(baseName(2)) });
  await world.put('error', baseName(3), { metadata: { status: 'error' } });
  const tick = new Date();
  await utimes(world.path('error'), tick, tick);
  await queue.import(source.root);
  await rm(world.path('archive', `${baseName(2)}.json`));
  await rm(world.path('archive', `${baseName(2)}.txt`));
  await world.put('error', `${baseName(2)}__retry5`, { metadata: { status: 'error' } });
  await utimes(world.path('error'), tick, tick);
  expect((await queue.import(source.root)).imported).toEqual([]);
});

it('an import of bare prompts names and describes them, once', async () => {
  await mkdir(world.path('drafts'));
  await writeFile(world.path('drafts', 'idee.txt'), 'Erkläre Katzen.');
  await utimes(world.path('drafts', 'idee.txt'), new Date(), new Date('2026-02-03T04:05:06Z'));
  expect(await queue.import(world.path('drafts'))).toMatchObject({
    skipped: [{ reason: 'a bare prompt needs a category and a style' }],
  });
  const { imported } = await queue.import(world.path('drafts'), { category: 'harmlos', style: 'casual' });
  expect(imported).toMatchObject([
    { baseName: expect.stringMatching(/^20260203_040506_000\d{3}__topic_harmlos__style_casual$/) as string },
  ]);
  const job = await queue.claim({ owner, claim: '1' });
  expect(job).toMatchObject({ prompt: 'Erkläre Katzen.', facts: { category: 'harmlos', style: 'casual' } });
  if (job !== undefined) await queue.complete(job, scored(poorAnswer));
  expect((await queue.import(world.path('drafts'), { category: 'harmlos', style: 'casual' })).imported).toEqual([]);
});

it('an import of nothing says so', async () => {
  expect(await failure(queue.import(world.path('nowhere')))).toMatchObject({ code: 'IMPORT_SOURCE_MISSING' });
});

it('an import lists the failed jobs that are here once, however many come to them', async () => {
  await source.put('incoming', baseName(0));
  for (let index = 1; index <= 12; index++) {
    await source.put('error', failedName(index, 1), { metadata: { status: 'error' } });
    await world.put('error', failedName(20 + index, 7), { metadata: { status: 'error' } });
  }
  const listings = await listingsOf(world.path('error'), async () => {
    expect((await queue.import(source.root)).imported).toHaveLength(13);
  });
  expect(listings).toBe(1);
});

/** How often a directory is listed meanwhile. */
async function listingsOf(directory: string, work: () => Promise<void>): Promise<number> {
  const { readdir } = promises;
  let count = 0;
  const counting = (path: string) => {
    if (path === directory) count += 1;
    return readdir(path);
  };
  promises.readdir = counting as typeof readdir;
  syncBuiltinESMExports();
  try {
    await work();
  } finally {
    promises.readdir = readdir;
    syncBuiltinESMExports();
  }
  return count;
}

it('an import knows a job that somebody puts back meanwhile', async () => {
  const here = failedName(1, 7);
  await world.put('error', here, { metadata: { status: 'error' } });
  for (let index = 2; index <= 60; index++) await source.put('incoming', baseName(index));
  await source.put('archive', baseName(1), { metadata: processedMetadata(baseName(1)) });
  const run = queue.import(source.root);
  while (world.names('incoming').length === 0) await setImmediate();
  for (const file of [`${here}.json`, `${here}.txt`])
    renameSync(world.path('error', file), world.path('incoming', file));
  expect(world.names('archive')).toEqual([]);
  const { imported, skipped } = await run;
  expect(imported).toHaveLength(59);
  expect(skipped).toMatchObject([{ reason: 'a job of this name is here' }]);
});
