import { existsSync } from 'node:fs';
import { mkdir, rm, utimes, writeFile } from 'node:fs/promises';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { cleanQueue, type CleanRequest } from '../../src/syntx/clean/clean-queue.js';
import { SyntxLogs } from '../../src/syntx/logs/syntx-logs.js';
import { defaultMonitorLimits, observeQueue } from '../../src/syntx/monitor/observe-queue.js';
import { failure } from '../support/server-faults.js';
import { baseName, goodAnswer, incomingMetadata, owner, QueueWorld } from '../support/syntx-queue.js';

const hour = 3_600_000;

let world: QueueWorld;
beforeEach(() => {
  world = new QueueWorld();
});
afterEach(() => world.close());

describe('the monitor', () => {
  const now = new Date('2026-01-06T12:00:00Z');
  const processedAt = (time: string) => ({ ...incomingMetadata(baseName(0)), status: 'success', processed_at: time });
  const fill = async (
    stage: 'incoming' | 'processed' | 'error' | 'archive',
    from: number,
    count: number,
    time?: string,
  ) => {
    for (let index = from; index < from + count; index++) {
      const metadata = time === undefined ? incomingMetadata(baseName(index)) : processedAt(time);
      await world.put(stage, baseName(index), { metadata, ...(stage === 'processed' && { response: goodAnswer }) });
    }
  };
  const observe = async () => observeQueue(world.open(), { now });

  it('writes the guide’s line, counts no answer as a job, and finds nothing wrong where all is well', async () => {
    await fill('incoming', 100, 12);
    await fill('processed', 200, 10, '2026-01-06T11:00:00');
    await fill('error', 300, 1);
    await fill('archive', 400, 5, '2026-01-05T11:00:00');
    expect(await observe()).toMatchObject({
      ...{ line: 'Incoming: 12 | Processed: 10 | Error: 1 | Archive: 5', flags: [], errorShare: 1 / 16 },
      lastProcessedAt: '2026-01-06T11:00:00.000Z',
    });
  });

  it('pads the first number, as in the guide', async () => {
    await fill('incoming', 100, 8);
    expect((await observe()).line).toBe('Incoming: 8  | Processed: 0 | Error: 0 | Archive: 0');
  });

  it('flags what is wrong, each with its limit', async () => {
    await fill('incoming', 100, 9);
    await fill('processed', 200, 4, '2026-01-05T11:59:00');
    await fill('archive', 400, 5, '2026-01-05T11:00:00');
    await fill('error', 300, 1);
    expect((await observe()).flags.map(({ code }) => code)).toEqual([
      'INCOMING_LOW',
      'NOTHING_PROCESSED',
      'ERROR_SHARE',
    ]);
    await fill('incoming', 120, 22);
    expect((await observe()).flags[0]).toMatchObject({
      code: 'INCOMING_HIGH',
      text: expect.stringContaining('31 prompts') as string,
    });
    // A job that has been archived in the meantime came into processed all the same.
    await fill('archive', 410, 1, '2026-01-06T11:00:00');
    expect((await observe()).flags.map(({ code }) => code)).toEqual(['INCOMING_HIGH']);
    const limits = { ...defaultMonitorLimits, incoming: { low: 0, high: 100 }, processedWithinHours: 0.5 };
    expect((await observeQueue(world.open(), { limits, now })).flags.map(({ code }) => code)).toEqual([
      'NOTHING_PROCESSED',
    ]);
  });

  it('says nothing of a new queue but that it is empty, until its prompts have waited for a day', async () => {
    expect((await observe()).flags.map(({ code }) => code)).toEqual(['INCOMING_LOW']);
    await fill('incoming', 100, 12);
    const created = Date.parse('2026-01-05T04:00:10Z');
    const flags = async (later: number) =>
      (await observeQueue(world.open(), { now: new Date(created + later) })).flags.map(({ code }) => code);
    expect(await flags(23 * hour)).toEqual([]);
    expect(await flags(25 * hour)).toEqual(['NOTHING_PROCESSED']);
  });

  it('is not silenced by a time to come', async () => {
    await fill('incoming', 100, 12);
    const ahead = { created_at: '2036-01-05T04:00:10', producer_run: '2036-01-05T04:00:10' };
    await world.put('incoming', baseName(99), { metadata: incomingMetadata(baseName(99), ahead) });
    await fill('archive', 400, 1, '2036-01-06T11:00:00');
    expect(await observe()).toMatchObject({ lastProcessedAt: null, flags: [{ code: 'NOTHING_PROCESSED' }] });
    await fill('processed', 200, 1, '2026-01-05T11:59:00');
    expect(await observe()).toMatchObject({
      ...{ lastProcessedAt: '2026-01-05T11:59:00.000Z', flags: [{ code: 'NOTHING_PROCESSED' }] },
    });
  });

  it('finds the newest job also where files were copied and show one time', async () => {
    await fill('archive', 1, 3, '2026-01-04T00:00:00');
    await fill('archive', 4, 1, '2026-01-06T00:00:00');
    await fill('archive', 5, 3, '2026-01-05T00:00:00');
    const copied = new Date('2026-01-07T00:00:00Z');
    for (const name of world.names('archive')) await utimes(world.path('archive', name), copied, copied);
    expect((await observe()).lastProcessedAt).toBe('2026-01-06T00:00:00.000Z');
  });
});

describe('clean', () => {
  const log = pino({ level: 'silent' });
  const options = { signal: new AbortController().signal, log };
  /** Files are as new as they look; so the clock goes on. */
  const in25Hours = () => new Date(Date.now() + 25 * hour);

  async function prepared(): Promise<CleanRequest> {
    const queue = world.open({ now: in25Hours });
    for (const directory of ['.tmp', 'cron', 'incoming']) await mkdir(world.path(directory), { recursive: true });
    await writeFile(world.path('.tmp', `${baseName(1)}.txt`), 'left over');
    await world.put('incoming', baseName(2), { metadata: null });
    await world.put('incoming', baseName(3));
    await world.put('error', `${baseName(4)}__retry1`, { metadata: null });
    await world.put('archive', baseName(5), { metadata: null });
    // A split pair: the metadata is in another stage.
    await world.put('processed', baseName(6), { metadata: null });
    await world.put('archive', baseName(6));
    await world.put('processing', baseName(7), { metadata: null });
    for (const [name, days] of [
      ['old.log', 91],
      ['new.log', 89],
      ['evolution.jsonl', 400],
      ['evolution.20251209.jsonl', 400],
    ] as const) {
      await writeFile(world.path('cron', name), 'x\n');
      const time = new Date(Date.now() - days * 24 * hour);
      await utimes(world.path('cron', name), time, time);
    }
    const logs = new SyntxLogs({ cronDirectory: world.path('cron'), dataDirectory: world.path('data') });
    return { queue, logs, logDirectory: world.path('cron'), runDirectory: world.path('runs'), run: 'clean/1' };
  }

  it('removes what the guide says, reports it, and touches nothing else', async () => {
    const request = await prepared();
    const cleaned = await cleanQueue(request, options);
    expect(cleaned.map(({ kind, path, movedTo }) => [kind, path.replace(world.root, ''), movedTo !== null])).toEqual([
      ['temporary', `/.tmp/${baseName(1)}.txt`, false],
      ['broken', `/incoming/${baseName(2)}.txt`, true],
      ['broken', `/processing/${baseName(7)}.txt`, true],
      ['broken', `/error/${baseName(4)}__retry1.txt`, true],
      ['log', '/cron/old.log', false],
    ]);
    expect(cleaned.map(({ ageHours }) => ageHours)).toEqual([25, 25, 25, 25, 91 * 24]);
    expect(world.names('.tmp')).toEqual([]);
    expect(world.names('.broken')).toEqual(
      [baseName(2), `${baseName(4)}__retry1`, baseName(7)].map((name) => `${name}.txt`),
    );
    expect(world.names('incoming')).toEqual([`${baseName(3)}.json`, `${baseName(3)}.txt`]);
    expect(world.names('archive')).toHaveLength(3);
    expect(world.names('processed')).toEqual([`${baseName(6)}.txt`]);
    expect(world.names('cron')).toEqual(['cleanup.log', 'evolution.20251209.jsonl', 'evolution.jsonl', 'new.log']);
    for (const { path } of cleaned) expect(world.text('cron', 'cleanup.log')).toContain(path);
    expect(await cleanQueue({ ...request, run: 'clean/2' }, options)).toEqual([]);
  });

  it('names everything in its log before it goes: where that cannot be written, nothing goes', async () => {
    const request = await prepared();
    await writeFile(world.path('no-directory'), '');
    const logs = new SyntxLogs({
      cronDirectory: world.path('no-directory', 'cron'),
      dataDirectory: world.path('data'),
    });
    expect(await failure(cleanQueue({ ...request, logs }, options))).toMatchObject({
      ...{ code: 'LOG_FORBIDDEN', retryable: false, message: expect.stringContaining('cleanup.log') as string },
    });
    expect(world.names('.tmp')).toHaveLength(1);
    expect(world.names('.broken')).toEqual([]);
    expect(world.names('cron')).toContain('old.log');
    expect(await cleanQueue(request, options)).toHaveLength(5);
  });

  it('takes nothing away that has come since it wrote its log, and ends between two files when it is told to', async () => {
    const request = await prepared();
    const { logs } = request;
    const ended = new AbortController();
    const cleanup = logs.cleanup.bind(logs);
    logs.cleanup = async (...entries) => {
      await cleanup(...entries);
      await writeFile(world.path('.tmp', 'late.txt'), 'left over');
      await world.put('incoming', baseName(8), { metadata: null });
      if (entries[0] === 'ended') ended.abort(new Error('ended'));
    };
    const signal = ended.signal;
    await expect(cleanQueue({ ...request, run: 'ended' }, { ...options, signal })).rejects.toThrow('ended');
    expect(world.names('.tmp')).toHaveLength(2);
    await rm(world.path('.tmp', 'late.txt'));
    await rm(world.path('incoming', `${baseName(8)}.txt`));

    const cleaned = await cleanQueue(request, options);
    expect(cleaned).toHaveLength(5);
    expect(world.names('.tmp')).toEqual(['late.txt']);
    expect(world.names('incoming')).toContain(`${baseName(8)}.txt`);
  });

  it('removes folders of old producer runs, and never one that has prompts which are not in the queue', async () => {
    const request = await prepared();
    const run = async (name: string, days: number, files: readonly string[]) => {
      const time = new Date(Date.now() - days * 24 * hour);
      await mkdir(world.path('runs', name, 'prompts'), { recursive: true });
      const paths = files.map((file) => world.path('runs', name, file));
      for (const path of paths) await writeFile(path, '{}');
      paths.push(world.path('runs', name, 'prompts'), world.path('runs', name));
      for (const path of paths) await utimes(path, time, time);
    };
    await run('produce-1', 31, ['plan.json', 'published.json']);
    await run('produce-2', 29, ['plan.json', 'published.json']);
    await run('produce-3', 90, ['plan.json', 'prompts/0000.json']);
    await run('produce-4', 90, ['plan.json']);
    const runs = (await cleanQueue(request, options)).filter(({ kind }) => kind === 'run');
    expect(runs.map(({ path }) => path.replace(world.root, ''))).toEqual(['/runs/produce-1', '/runs/produce-4']);
    expect(world.names('runs')).toEqual(['produce-2', 'produce-3']);
    for (const { path } of runs) expect(world.text('cron', 'cleanup.log')).toContain(path);
  });

  it('on trial lists the same and changes nothing', async () => {
    const request = await prepared();
    const listed = await cleanQueue({ ...request, dryRun: true, run: 'dry' }, options);
    expect(listed).toHaveLength(5);
    for (const { path } of listed) expect(existsSync(path), path).toBe(true);
    expect(world.names('.broken')).toEqual([]);
    expect(await cleanQueue(request, options)).toEqual(listed);
  });

  it('leaves alone what is young, what somebody works on, and everything when the clock is set back', async () => {
    await prepared();
    const logs = new SyntxLogs({ cronDirectory: world.path('cron'), dataDirectory: world.path('data') });
    const clean = (now: () => Date) => {
      const queue = world.open({ now });
      const [logDirectory, runDirectory] = [world.path('nowhere'), world.path('runs')];
      return cleanQueue({ queue, logs, logDirectory, runDirectory, run: 'clean' }, options);
    };
    expect(await clean(() => new Date(Date.now() + 23 * hour))).toEqual([]);
    expect(await clean(() => new Date(Date.now() - 1000 * hour))).toEqual([]);
    await world.open().claim({ owner, claim: '1' });
    await rm(world.path('processing', `${baseName(3)}.json`));
    await clean(in25Hours);
    expect(world.names('processing')).toEqual([`${baseName(3)}.txt`]);
  });
});
