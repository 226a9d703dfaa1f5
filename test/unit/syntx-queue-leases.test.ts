import Libsql from 'libsql';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ClaimedJob } from '../../src/syntx/queue/claim.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { fileError, fileFaults, noFileFaults } from '../support/faulty-files.js';
import { failure } from '../support/server-faults.js';
import { OriginalPrograms } from '../support/syntx-original.js';
import {
  baseName,
  call,
  claimFrom,
  goodAnswer,
  incomingMetadata,
  owner,
  poorAnswer,
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

describe('leases', () => {
  const closed = { isOpen: () => Promise.resolve(false), foreignAfterMs: 3_600_000 };
  const later = (hours: number) => () => new Date(Date.now() + hours * 3_600_000);

  it('end with their workflow run: the job waits again, with its answer', async () => {
    await world.put('incoming', first);
    const job = await claim();
    await queue.storeAnswer(job, job.prompt, { wrapper: 'sigma', response: goodAnswer, durationMs: 5, attempts: 1 });
    expect(await queue.takeBack({ ...closed, isOpen: ({ runId }) => Promise.resolve(runId === 'run-1') })).toEqual([]);
    expect(await queue.takeBack(closed)).toEqual([
      { baseName: first, reason: 'its workflow consume-syntex is closed' },
    ]);
    expect(world.names('incoming')).toEqual([`${first}.json`, `${first}.txt`]);
    expect(await queue.findAnswer(first, { wrapper: 'sigma', prompt: job.prompt })).toMatchObject({
      response: goodAnswer,
    });
    expect(await queue.findAnswer(first, { wrapper: 'human', prompt: job.prompt })).toBeUndefined();
    expect(await queue.findAnswer(first, { wrapper: 'sigma', prompt: 'another' })).toBeUndefined();
  });

  it('that are lost let their old owner change nothing', async () => {
    await world.put('incoming', first);
    const lost = await claim();
    await queue.takeBack(closed);
    const heir = await queue.claim({ owner: { workflowId: 'w', runId: 'r' }, claim: '1' });
    if (heir === undefined) throw new Error('nothing waits');
    const answer = { wrapper: 'sigma', response: 'x', durationMs: 1, attempts: 1 };
    for (const attempt of [
      queue.complete(lost, scored(goodAnswer)),
      queue.fail(lost, call),
      queue.storeAnswer(lost, 'p', answer),
      queue.noteFault(lost, { kind: 'k', error: 'e', detail: 'd', at: now.toISOString() }),
      queue.claimed(lost),
    ]) {
      expect(await failure(attempt)).toMatchObject({ code: 'LEASE_LOST', retryable: false });
    }
    await queue.giveBack(lost);
    expect(await queue.complete(heir, scored(goodAnswer))).toMatchObject({ stage: 'processed', repeated: false });
    expect(world.faults()).toEqual([]);
  });

  it('of another Tower, and jobs of programs that have none, go back after their age only', async () => {
    for (const index of [1, 2]) await world.put('incoming', baseName(index));
    await claim(1, world.open());
    const other = world.open({ instance: 'tower-2' });
    await world.put('processing', baseName(3));
    expect(await other.takeBack(closed)).toEqual([]);
    const muchLater = world.open({ instance: 'tower-2', now: later(2) });
    const reasons = await muchLater.takeBack(closed);
    expect(reasons).toMatchObject([
      { baseName: baseName(1), reason: expect.stringMatching(/^another Tower \(tower-1\) has held it for/) as string },
      { baseName: baseName(3), reason: expect.stringMatching(/^nobody's, in processing for 2\.0 h/) as string },
    ]);
    expect((await queue.counts()).incoming.jobs).toBe(3);
  });

  it('survive a clock that was set back', async () => {
    await world.put('incoming', first);
    await claim(1, world.open());
    await world.put('processing', baseName(2));
    const earlier = world.open({ instance: 'tower-2', now: later(-48) });
    expect(await earlier.takeBack(closed)).toEqual([]);
  });

  it('keep a job that the original’s nightly cleanup has moved back to incoming', async () => {
    await world.put('incoming', first);
    const job = await claim();
    const { rename } = await import('node:fs/promises');
    const cleanup = async () => {
      for (const ending of ['.txt', '.json']) {
        await rename(world.path('processing', `${first}${ending}`), world.path('incoming', `${first}${ending}`));
      }
    };
    await cleanup();
    expect(await queue.claim({ owner, claim: 'another' })).toBeUndefined();
    expect((await queue.claimed(job)).prompt).toBe(job.prompt);
    await cleanup();
    expect(await queue.complete(job, scored(goodAnswer))).toMatchObject({ stage: 'processed' });
    expect(world.faults()).toEqual([]);
  });

  it('whose job a consumer of the original has done in the meantime are dropped', async () => {
    await world.put('incoming', first);
    const job = await claim();
    const { rename } = await import('node:fs/promises');
    for (const ending of ['.txt', '.json']) {
      await rename(world.path('processing', `${first}${ending}`), world.path('error', `${first}__retry1${ending}`));
    }
    expect(await failure(queue.claimed(job))).toMatchObject({ code: 'LEASE_LOST' });
    expect(await queue.takeBack(closed)).toEqual([]);
    expect(world.faults()).toEqual([]);
  });
});

describe('a job that the original has done while Tower waited for its answer', () => {
  const answer = { wrapper: 'sigma', response: goodAnswer, durationMs: 5, attempts: 1 };

  async function doneByOriginal() {
    await world.put('incoming', first);
    const job = await claim();
    await queue.storeAnswer(job, job.prompt, answer);
    const original = new OriginalPrograms(world.root);
    original.cleanup();
    expect(original.claim()).toBe(first);
    return { job, original };
  }

  it.each([
    ['a good score', (job: ClaimedJob) => queue.complete(job, scored(goodAnswer))],
    ['a low score', (job: ClaimedJob) => queue.complete(job, scored(poorAnswer))],
    ['a fault', (job: ClaimedJob) => queue.fail(job, { ...call, error: 'Timeout after 1800s' })],
  ])('has one result, its own, and not %s of Tower’s beside it', async (_, settle) => {
    const { job, original } = await doneByOriginal();
    original.finish(first);
    const evidence = world.text('processed', `${first}.json`);
    expect(await failure(settle(job))).toMatchObject({ code: 'LEASE_LOST', retryable: false });
    expect(world.names('processed')).toEqual([`${first}.json`, `${first}.txt`, `${first}_response.txt`]);
    expect(world.text('processed', `${first}.json`)).toBe(evidence);
    expect(world.names('error')).toEqual([]);
    expect(await queue.scoredJobs()).toMatchObject([{ score: 100 }]);
    // Neither its lease nor the answer to it is left.
    expect(world.faults()).toEqual([]);
    expect(await failure(settle(job))).toMatchObject({ code: 'LEASE_LOST' });
  });

  it('keeps what the original says of its own failure', async () => {
    const { job } = await doneByOriginal();
    const { rename } = await import('node:fs/promises');
    for (const ending of ['.json', '.txt']) {
      await rename(world.path('processing', first + ending), world.path('error', `${first}${ending}`));
    }
    expect(await failure(queue.complete(job, scored(poorAnswer)))).toMatchObject({ code: 'LEASE_LOST' });
    expect(world.metadata('error', first)).toEqual(incomingMetadata(first));
    expect(world.faults()).toEqual([]);
  });
});

describe('what the file system refuses', () => {
  it.each(['EACCES', 'EPERM', 'EROFS'])('%s says what to do', async (code) => {
    await world.put('incoming', first);
    await queue.counts();
    fileFaults.decide = ({ path }) => (path.includes('processing') ? fileError(code, path) : 'go');
    expect(await failure(queue.claim({ owner, claim: '1' }))).toMatchObject({
      ...{ code: 'QUEUE_FORBIDDEN', retryable: false },
      message: expect.stringContaining('processing') as string,
      next: expect.stringContaining('right to write') as string,
    });
    noFileFaults();
    expect((await claim()).baseName).toBe(first);
  });

  it.each(['EIO', 'ESTALE', 'ENOTCONN', 'ETIMEDOUT'])('%s of the queue’s disk is waited for', async (code) => {
    await world.put('incoming', first);
    await queue.counts();
    fileFaults.look = (path) => (path === world.root ? fileError(code, path) : undefined);
    for (const work of [queue.counts(), queue.claim({ owner, claim: '1' })]) {
      expect(await failure(work)).toMatchObject({
        ...{ code: 'QUEUE_AWAY', retryable: true, retryAfterMs: 60_000 },
        message: expect.stringContaining(world.root) as string,
      });
    }
    noFileFaults();
    expect((await claim()).baseName).toBe(first);
  });

  it.each(['EACCES', 'EROFS'])('%s of the lock itself is not waited for', async (code) => {
    await world.put('incoming', first);
    const lock = queue.paths.lockFile;
    fileFaults.look = (path) => (path === lock ? fileError(code, path) : undefined);
    expect(await failure(queue.claim({ owner, claim: '1' }))).toMatchObject({
      ...{ code: 'QUEUE_FORBIDDEN', retryable: false, message: expect.stringContaining(lock) as string },
    });
    noFileFaults();
    expect((await claim()).baseName).toBe(first);
  });

  it('an answer outlasts a disk that fails at the queue’s lock', async () => {
    await world.put('incoming', first);
    const job = await claim();
    const answer = { wrapper: 'sigma', response: goodAnswer, durationMs: 1_800_000, attempts: 1 };
    const store = () => queue.storeAnswer(job, job.prompt, answer);
    const away = { code: 'QUEUE_AWAY', retryable: true };
    fileFaults.look = (path) => (path === queue.paths.lockFile ? fileError('ESTALE', path) : undefined);
    expect(await failure(store())).toMatchObject(away);
    noFileFaults();
    const begin = vi.spyOn(Libsql.prototype, 'exec').mockImplementationOnce(() => {
      throw Object.assign(new Error('disk I/O error'), { code: 'SQLITE_IOERR_LOCK' });
    });
    const close = vi.spyOn(Libsql.prototype, 'close');
    expect(await failure(store())).toMatchObject(away);
    expect(close).toHaveBeenCalledOnce();
    begin.mockRestore();
    close.mockRestore();
    await store();
    expect(await queue.findAnswer(first, { wrapper: 'sigma', prompt: job.prompt })).toMatchObject(answer);
  });

  it('a disk that is nearly full is told before a call is made', async () => {
    await queue.requireSpace();
    fileFaults.freeBytes = 1024 * 1024;
    expect(await failure(queue.requireSpace())).toMatchObject({ code: 'DISK_FULL', retryable: true });
  });

  it('a queue on several disks is told', async () => {
    await world.put('incoming', first);
    fileFaults.decide = ({ name, path }) =>
      name === 'rename' && path.endsWith(`${first}.txt`) ? fileError('EXDEV', path) : 'go';
    expect(await failure(queue.claim({ owner, claim: '1' }))).toMatchObject({ code: 'QUEUE_SPLIT' });
  });

  it('a queue directory that is not there is refused, not made', async () => {
    const missing = world.path('not-mounted');
    const { openQueue } = await import('../../src/syntx/queue/syntx-queue.js');
    const closed = openQueue(missing, { instance: 'tower-1' });
    expect(await failure(closed.counts())).toMatchObject({ code: 'QUEUE_MISSING' });
    expect(await failure(closed.claim({ owner, claim: '1' }))).toMatchObject({ code: 'QUEUE_MISSING' });
    expect(world.names('not-mounted')).toEqual([]);
  });
});
