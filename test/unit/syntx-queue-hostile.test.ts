import { execFileSync } from 'node:child_process';
import { mkdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { ClaimedJob } from '../../src/syntx/queue/claim.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { failure } from '../support/server-faults.js';
import { baseName, call, goodAnswer, owner, QueueWorld, scored } from '../support/syntx-queue.js';

const first = baseName(1);

let world: QueueWorld;
let queue: SyntxQueue;
let claims = 0;

beforeEach(() => {
  world = new QueueWorld();
  queue = world.open();
});
afterEach(() => world.close());

async function claim(from = queue): Promise<ClaimedJob> {
  const job = await from.claim({ owner, claim: String(++claims) });
  if (job === undefined) throw new Error('nothing waits');
  return job;
}

describe('names', () => {
  it('that grow with every failure stop growing where a file name ends, and never stop the queue', async () => {
    await world.put('incoming', first);
    for (let count = 1; count <= 40; count++) {
      const settled = await queue.fail(await claim(), { ...call, error: 'empty' });
      expect(settled.baseName).toMatch(new RegExp(`__retry${count}$`));
      expect(await queue.retry()).toMatchObject({ requeued: [settled.baseName] });
    }
    const settled = await queue.complete(await claim(), scored(goodAnswer));
    expect(settled.baseName.length).toBeLessThan(243);
    expect(world.metadata('processed', settled.baseName)).toMatchObject({ retry_count: 40, filename: `${first}.txt` });
    expect(world.faults()).toEqual([]);
  });

  it('that leave no room for the other files of a job are set aside, and the next job is taken', async () => {
    const long = `0${'ä'.repeat(121)}`;
    await world.put('incoming', long);
    await world.put('incoming', first);
    expect((await claim()).baseName).toBe(first);
    expect(world.names('.broken')).toEqual([`${long}.json`, `${long}.txt`]);
    // Also by the clean-up, where one has no metadata.
    await world.put('incoming', `1${'x'.repeat(250)}`, { metadata: null });
    const later = world.open({ now: () => new Date(Date.now() + 90_000_000) });
    expect(await later.setAsideBroken({ olderThanMs: 86_400_000, dryRun: false })).toHaveLength(1);
    expect(world.names('incoming')).toEqual([]);
  });

  it.each([
    '0 a b',
    '0 $(touch x); `y` && z',
    '0 zeile\nzwei',
    '0 \u001b[31mrot',
    '0 ..',
    '0 "quoted\'',
    '0 -rf',
    '0 🐈',
  ])('such as %j are names', async (name) => {
    await world.put('incoming', name);
    const job = await claim();
    expect(job.baseName).toBe(name);
    expect(await queue.fail(job, { ...call, error: 'empty' })).toMatchObject({ baseName: `${name}__retry1` });
    await queue.retry();
    expect(await queue.complete(await claim(), scored(goodAnswer))).toMatchObject({ stage: 'processed' });
    expect(world.faults()).toEqual([]);
  });

  it('lead nowhere outside of the queue', async () => {
    await world.put('error', first, { metadata: { status: 'error' } });
    await mkdir(world.path('private'));
    await writeFile(world.path('private', 'secret.txt'), 'secret');
    await writeFile(world.path('private', 'secret.json'), '{}');
    expect(await queue.requeue(['../private/secret', '../private/secret.txt'])).toMatchObject({ requeued: [] });
    expect(world.names('private')).toEqual(['secret.json', 'secret.txt']);
    // A path, as the shell completes it, is its job.
    expect(await queue.find(world.path('error', `${first}.json`))).toMatchObject([{ baseName: first }]);
    expect(await queue.requeue([world.path('error', `${first}.txt`)])).toMatchObject({ requeued: [first] });
  });

  it('with the number of a copy still say their style', async () => {
    await world.put('incoming', `${first}__copy2__retry1`, { metadata: {} });
    expect((await claim()).facts).toMatchObject({ category: 'harmlos', style: 'casual' });
  });
});

describe('what is no plain file', () => {
  const others: Record<string, (path: string) => unknown> = {
    'a directory': (path) => mkdir(path),
    'a pipe, which would never end': (path) => execFileSync('mkfifo', [path]),
    'a link to a file elsewhere': (path) => symlink('/etc/hostname', path),
    'a file of a gigabyte': async (path) => {
      await writeFile(path, '');
      await truncate(path, 2 ** 30);
    },
  };
  it.each(
    Object.keys(others).flatMap(
      (name) =>
        [
          [name, '.txt'],
          [name, '.json'],
        ] as const,
    ),
  )('%s as %s of a job is set aside, and the next job is taken', async (name, ending) => {
    await world.put('incoming', first);
    await world.put('incoming', baseName(2));
    const path = world.path('incoming', `${first}${ending}`);
    await rm(path);
    await others[name]?.(path);
    expect((await claim()).baseName).toBe(baseName(2));
    expect(world.names('.broken')).toEqual([`${first}.json`, `${first}.txt`]);
    expect(await queue.claim({ owner, claim: 'none' })).toBeUndefined();
  });

  it.each(Object.keys(others).slice(0, 3))(
    '%s among the files of jobs that are done holds up no reader',
    async (name) => {
      for (const [index, ending] of [...['.txt', '.json', '_response.txt'].entries()]) {
        await world.put('processed', baseName(index), { response: goodAnswer });
        await rm(world.path('processed', `${baseName(index)}${ending}`));
        await others[name]?.(world.path('processed', `${baseName(index)}${ending}`));
      }
      expect(await queue.scoredJobs()).toEqual([]);
      expect(await queue.lastProcessedAt()).toBeUndefined();
      expect(await queue.find('20260105')).toMatchObject([
        { baseName: baseName(2), response: null },
        { baseName: baseName(1), fault: 'the metadata are no plain file' },
        { baseName: baseName(0), prompt: null },
      ]);
      const { requeued, skipped } = await queue.requeue([0, 1, 2].map((index) => baseName(index)));
      expect(requeued).toEqual([baseName(2)]);
      expect(skipped.map(({ reason }) => reason)).toEqual([
        'the prompt is no plain file',
        'the metadata are no plain file',
      ]);
    },
  );

  it('in the way of an answer stops its job, with the path, and no other; the job goes on when it has gone', async () => {
    await world.put('incoming', first);
    await world.put('incoming', baseName(2));
    await mkdir(world.path('processed', `${first}_response.txt`), { recursive: true });
    const [stuck, other] = [await claim(), await claim()];
    expect(await failure(queue.complete(stuck, scored(goodAnswer)))).toMatchObject({
      ...{
        code: 'QUEUE_INVALID',
        retryable: false,
        message: expect.stringContaining(`${first}_response.txt`) as string,
      },
    });
    expect(await world.open().complete(other, scored(goodAnswer))).toMatchObject({ stage: 'processed' });
    await rm(world.path('processed', `${first}_response.txt`), { recursive: true });
    expect(await queue.settled(stuck)).toMatchObject({ stage: 'processed', score: 100 });
    expect(world.faults()).toEqual([]);
  });

  it('where a directory of the queue belongs is told', async () => {
    await writeFile(world.path('processed'), 'a file');
    expect(await failure(queue.claim({ owner, claim: '1' }))).toMatchObject({
      ...{ code: 'QUEUE_INVALID', retryable: false, message: expect.stringContaining('processed') as string },
    });
  });
});

describe('the queue directory', () => {
  it('without anything of a queue in it is taken for a mount point without its disk', async () => {
    const closed = world.open({ create: false });
    expect(await failure(closed.counts())).toMatchObject({
      ...{ code: 'QUEUE_MISSING', next: expect.stringContaining('createQueue') as string },
    });
    expect(await failure(closed.claim({ owner, claim: '1' }))).toMatchObject({ code: 'QUEUE_MISSING' });
    expect(world.names('.')).toEqual([]);
    await mkdir(world.path('incoming'));
    expect(await closed.claim({ owner, claim: '1' })).toBeUndefined();
  });

  it.each([
    ['with createQueue', true],
    ['without', false],
  ])('whose disk has gone is no empty queue: %s', async (_, create) => {
    await world.put('incoming', first);
    const working = world.open({ create });
    expect((await claim(working)).baseName).toBe(first);
    const disk = `${world.root}-disk`;
    await rename(world.root, disk);
    await mkdir(world.root);
    const gone = { code: 'QUEUE_MISSING', retryable: true, next: expect.stringContaining('Mount its disk') as string };
    for (const look of [
      () => working.counts(),
      () => working.list('incoming'),
      () => working.scoredJobs(),
      () => working.lastProcessedAt(),
      () => working.find(first),
    ]) {
      expect(await failure(look())).toMatchObject(gone);
    }
    expect(await failure(claim(working))).toMatchObject({ code: 'QUEUE_CHANGED', retryable: true });
    expect(await failure(claim(working))).toMatchObject(gone);
    // Nothing was made below the mount point.
    expect(world.names('.')).toEqual([]);
    await rm(world.root, { recursive: true });
    await rename(disk, world.root);
    expect(await working.counts()).toMatchObject({ processing: { jobs: 1 } });
    expect(await working.claim({ owner, claim: 'after' })).toBeUndefined();
  });

  it('that was put in the place of another one is worked on, under its own lock', async () => {
    await world.put('incoming', first);
    await claim();
    const aside = `${world.root}-aside`;
    await rename(world.root, aside);
    await world.put('incoming', baseName(2));
    expect(await failure(queue.claim({ owner, claim: 'again' }))).toMatchObject({
      code: 'QUEUE_CHANGED',
      retryable: true,
    });
    expect((await claim()).baseName).toBe(baseName(2));
    // Another process finds the lock taken.
    const { QueueLock } = await import('../../src/syntx/queue/queue-lock.js');
    const other = new QueueLock(world.path('.tower', 'lock'), 50);
    await rm(aside, { recursive: true });
    await world.put('incoming', baseName(3));
    await queue.counts();
    const outcome = await other.hold(() =>
      failure(new QueueLock(world.path('.tower', 'lock'), 50).hold(() => Promise.resolve())),
    );
    other.close();
    expect(outcome).toMatchObject({ code: 'QUEUE_BUSY' });
  });

  it.each([
    ['a directory', (path: string) => mkdir(path)],
    ['a link to itself', (path: string) => symlink(path, path)],
  ])('with %s in the place of its lock is not waited for', async (_, put) => {
    await world.put('incoming', first);
    await mkdir(world.path('.tower'));
    const lock = world.path('.tower', 'lock');
    await put(lock);
    expect(await failure(queue.claim({ owner, claim: '1' }))).toMatchObject({
      ...{ code: 'QUEUE_INVALID', retryable: false, message: expect.stringContaining(lock) as string },
    });
    await rm(lock, { recursive: true });
    expect((await claim()).baseName).toBe(first);
  });

  it('whose lock has gone with what else is Tower’s goes on, also where the lock was not in use', async () => {
    await world.put('incoming', first);
    await world.put('incoming', baseName(2));
    await claim();
    queue.close();
    await rm(world.path('.tower'), { recursive: true });
    expect(await failure(claim())).toMatchObject({ code: 'QUEUE_CHANGED', retryable: true });
    expect((await claim()).baseName).toBe(baseName(2));
  });

  it('whose listed jobs others have taken in the meantime is listed anew before it counts as empty', async () => {
    for (let index = 1; index <= 250; index++) await world.put('incoming', baseName(index), { metadata: {} });
    await claim();
    for (const name of world.names('incoming')) await rm(world.path('incoming', name));
    await world.put('incoming', baseName(900));
    expect((await claim()).baseName).toBe(baseName(900));
  });
});

it('a job between the two renames of a consumer of the original is not added a second time', async () => {
  const job = {
    ...{ id: 'run#1', category: 'harmlos', style: 'casual', prompt: 'Prompt', metadata: {}, sequence: 1 },
    time: new Date('2026-01-05T04:00:10.464Z'),
  };
  const { baseName: name } = await queue.add(job);
  await rename(world.path('incoming', `${name}.txt`), world.path('processing', `${name}.txt`));
  expect(await queue.add(job)).toEqual({ baseName: name, repeated: true });
  expect(world.names('incoming')).toEqual([`${name}.json`]);
});

it('a job that failed and waits again is not added a second time', async () => {
  const job = {
    ...{ id: 'run#1', category: 'harmlos', style: 'casual', prompt: 'Prompt', metadata: {}, sequence: 1 },
    time: new Date('2026-01-05T04:00:10.464Z'),
  };
  await queue.add(job);
  for (const name of ['__retry1', '__retry1__retry2']) {
    const failed = await queue.fail(await claim(), { ...call, error: 'empty' });
    expect(failed.baseName).toContain(name);
    await queue.retry();
    expect(await queue.add(job)).toEqual({ baseName: failed.baseName, repeated: true });
  }
  await queue.complete(await claim(), scored(goodAnswer));
  expect(await queue.add(job)).toMatchObject({ repeated: true });
  expect((await queue.counts()).incoming.jobs).toBe(0);
});
