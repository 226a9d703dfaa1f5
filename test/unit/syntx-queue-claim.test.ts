import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { fileFaults, noFileFaults } from '../support/faulty-files.js';
import {
  baseName,
  call,
  claimFrom,
  goodAnswer,
  incomingMetadata,
  owner,
  QueueWorld,
  scored,
} from '../support/syntx-queue.js';

vi.mock('node:fs/promises', async (original) => {
  const { faultyFiles } = await import('../support/faulty-files.js');
  return faultyFiles(await original());
});

const first = baseName(1);
const now = new Date('2026-01-05T04:01:02.643Z');

let world: QueueWorld;
let queue: SyntxQueue;

beforeEach(() => {
  world = new QueueWorld();
  queue = world.open({ now: () => now });
});
afterEach(() => {
  noFileFaults();
  world.close();
});

const claim = (number = 1, from = queue) => claimFrom(from, number);

describe('claiming', () => {
  it('takes the oldest name first, and each job once', async () => {
    for (const index of [3, 1, 2]) await world.put('incoming', baseName(index));
    const names = [await claim(1), await claim(2), await claim(3)].map((job) => job.baseName);
    expect(names).toEqual([baseName(1), baseName(2), baseName(3)]);
    expect(await queue.claim({ owner, claim: '4' })).toBeUndefined();
    expect(world.names('processing')).toEqual(names.flatMap((name) => [`${name}.json`, `${name}.txt`]));
  });

  it('made again returns the same job, and not for another run', async () => {
    for (const index of [1, 2]) await world.put('incoming', baseName(index));
    const job = await claim(1);
    expect(await claim(1, world.open())).toMatchObject({ baseName: job.baseName, token: job.token });
    const other = await queue.claim({ owner: { ...owner, runId: 'run-2' }, claim: '1' });
    expect(other?.baseName).toBe(baseName(2));
  });

  it('brings the prompt, the metadata as they are, and what they mean', async () => {
    await world.put('incoming', first, { prompt: 'Zeile eins\nÜber Katzen 🐈\n' });
    expect(await claim()).toMatchObject({
      prompt: 'Zeile eins\nÜber Katzen 🐈\n',
      metadata: incomingMetadata(first),
      facts: { id: first, category: 'harmlos', style: 'casual', topic: null },
      faults: [],
    });
  });

  it('leaves a prompt without metadata and metadata without a prompt alone, and counts them', async () => {
    await world.put('incoming', baseName(1), { metadata: null });
    await world.put('incoming', baseName(3));
    await world.put('incoming', `${baseName(2)}_response`, { metadata: null });
    const { rename } = await import('node:fs/promises');
    await world.put('incoming', baseName(2));
    await rename(world.path('incoming', `${baseName(2)}.txt`), world.path('elsewhere'));
    expect((await queue.counts()).incoming).toEqual({ jobs: 2, withoutMetadata: 1, withoutPrompt: 1 });
    expect((await claim()).baseName).toBe(baseName(3));
    expect(await queue.claim({ owner, claim: '2' })).toBeUndefined();
    // Its metadata has come: now it is a job.
    await world.put('incoming', baseName(1));
    expect((await claim(2)).baseName).toBe(baseName(1));
  });

  it.each([
    ['broken JSON', { metadata: '{"topic": "harm' }],
    ['a list', { metadata: [] }],
    ['empty metadata', { metadata: '' }],
    ['an empty prompt', { prompt: ' \n' }],
  ])('sets %s aside, whole, and goes on', async (_name, files) => {
    await world.put('incoming', baseName(1), files);
    await world.put('incoming', baseName(2));
    expect((await claim()).baseName).toBe(baseName(2));
    expect(world.names('.broken')).toEqual([`${first}.json`, `${first}.txt`]);
    expect(world.names('incoming')).toEqual([]);
    expect((await queue.counts()).broken.jobs).toBe(1);
  });

  it('leaves a job alone whose name is being processed', async () => {
    await world.put('processing', first, { prompt: 'of another program' });
    await world.put('incoming', first);
    expect(await queue.claim({ owner, claim: '1' })).toBeUndefined();
    expect(world.text('processing', `${first}.txt`)).toBe('of another program');
  });

  it('with 2,000 waiting jobs lists no more for a claim than with 100', async () => {
    const { writeFileSync, mkdirSync } = await import('node:fs');
    mkdirSync(world.path('incoming'), { recursive: true });
    for (let index = 0; index < 2000; index++) {
      const base = world.path('incoming', `20260105_040010_${String(index).padStart(6, '0')}__topic_a__style_b`);
      writeFileSync(`${base}.txt`, 'Prompt');
      writeFileSync(`${base}.json`, '{}');
    }
    await claim(0);
    fileFaults.namesRead = 0;
    const claims = 100;
    for (let number = 1; number <= claims; number++) {
      const job = await claim(number);
      expect(job.baseName).toContain(`_${String(number).padStart(6, '0')}__`);
      await queue.complete(job, scored(goodAnswer));
    }
    // Two files for each of a hundred jobs, and the few leases and moves of other claims.
    expect(fileFaults.namesRead / claims).toBeLessThan(250);
  });

  it('sees older jobs that come back while many wait', async () => {
    for (let index = 10; index < 300; index++) await world.put('incoming', baseName(index), { metadata: {} });
    await claim(1);
    const failed = { status: 'error', last_error: { error: 'Connection failed: x' }, retry_count: 1 };
    await world.put('error', `${baseName(1)}__retry1`, { metadata: failed });
    // By another process.
    expect(await world.open().retry()).toEqual({ requeued: [`${baseName(1)}__retry1`], skipped: [] });
    expect((await claim(2)).baseName).toBe(`${baseName(1)}__retry1`);
  });
});

describe('adding', () => {
  const job = (id: string, sequence = 1) => ({
    ...{ id, category: 'gesellschaft', style: 'casual', prompt: `Prompt ${id}`, sequence },
    metadata: { topic: 'gesellschaft', style: 'casual', tower: { topic: 'Klimawandel' } },
    time: new Date('2026-01-05T04:00:10.464Z'),
  });

  it('names a job as the original does, in the configured zone', async () => {
    const added = await world.open({ timeZone: 'Europe/Berlin' }).add(job('run#1'));
    expect(added).toEqual({
      baseName: '20260105_050010_464001__topic_gesellschaft__style_casual',
      repeated: false,
    });
    const metadata = world.metadata('incoming', added.baseName);
    expect(Object.keys(metadata)).toEqual(['topic', 'style', 'filename', 'tower']);
    expect(metadata).toMatchObject({ filename: `${added.baseName}.txt`, tower: { topic: 'Klimawandel', id: 'run#1' } });
  });

  it('does not add a job twice, wherever it is by now', async () => {
    const { baseName: name } = await queue.add(job('run#1'));
    expect(await queue.add(job('run#1'))).toEqual({ baseName: name, repeated: true });
    const claimed = await claim();
    expect(await queue.add(job('run#1'))).toMatchObject({ repeated: true });
    await queue.fail(claimed, { ...call, error: 'empty' });
    expect(await queue.add(job('run#1'))).toEqual({ baseName: `${name}__retry1`, repeated: true });
  });

  it('takes another name where a clock set back meets an older job', async () => {
    const one = await queue.add(job('run#1'));
    const two = await queue.add(job('later-run#1'));
    expect(two.baseName).not.toBe(one.baseName);
    expect((await queue.counts()).incoming.jobs).toBe(2);
    expect(world.text('incoming', `${one.baseName}.txt`)).toBe('Prompt run#1');
  });
});

it('two Towers on one directory do each job once', async () => {
  const all = Array.from({ length: 60 }, (_, index) => baseName(index));
  for (const name of all) await world.put('incoming', name);
  const done: string[] = [];
  const consume = async (instance: string) => {
    const own = world.open({ instance });
    for (let number = 1; ; number++) {
      const job = await own.claim({ owner: { workflowId: instance, runId: 'r' }, claim: String(number) });
      if (job === undefined) return;
      await own.complete(job, scored(goodAnswer));
      done.push(job.baseName);
    }
  };
  await Promise.all([consume('tower-1'), consume('tower-2'), consume('tower-3')]);
  expect(done.sort()).toEqual(all);
  expect(world.faults()).toEqual([]);
  expect((await queue.counts()).processed.jobs).toBe(60);
});
