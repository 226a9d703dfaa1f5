import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { ClaimedJob } from '../../src/syntx/queue/claim.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { fileError, fileFaults, noFileFaults } from '../support/faulty-files.js';
import { failure } from '../support/server-faults.js';
import {
  baseName,
  call,
  goodAnswer,
  incomingMetadata,
  owner,
  poorAnswer,
  QueueWorld,
  scored,
  scoreOf,
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

async function claim(number = 1, from = queue): Promise<ClaimedJob> {
  const job = await from.claim({ owner, claim: String(number) });
  if (job === undefined) throw new Error('nothing waits');
  return job;
}

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

describe('a score', () => {
  it('of the threshold and more goes to processed: a triple with the keys of the original', async () => {
    await world.put('incoming', first);
    const settled = await queue.complete(await claim(), scored(goodAnswer));
    expect(settled).toEqual({ baseName: first, stage: 'processed', score: 100, reason: null, repeated: false });
    expect(world.names('processed')).toEqual([`${first}.json`, `${first}.txt`, `${first}_response.txt`]);
    expect(world.text('processed', `${first}_response.txt`)).toBe(goodAnswer);
    const metadata = world.metadata('processed', first);
    expect(Object.keys(metadata)).toEqual([
      ...Object.keys(incomingMetadata(first)),
      ...['syntex_result', 'processed_at', 'status', 'tower'],
    ]);
    expect(metadata).toMatchObject({
      ...incomingMetadata(first),
      processed_at: '2026-01-05T04:01:02.643000',
      status: 'success',
    });
    expect(Object.entries(metadata['syntex_result'] as object)).toEqual([
      ['quality_score', scoreOf(goodAnswer)],
      ...[
        ['duration_ms', 36_454],
        ['session_id', '519c9a2e'],
        ['wrapper', 'syntex_system'],
      ],
      ...[
        ['worker_id', 'cron_syntex'],
        ['response_text', goodAnswer],
      ],
    ]);
    const text = world.text('processed', `${first}.json`);
    expect(text).toBe(JSON.stringify(metadata, null, 2));
    expect(text).toContain('Driftkörperanalyse');
    expect(world.faults()).toEqual([]);
  });

  it('below it goes to error under the job’s own name, and is no failure of the machine', async () => {
    await world.put('incoming', first, { metadata: incomingMetadata(first, { retry_count: 2, status: 'error' }) });
    const settled = await queue.complete(await claim(), scored(poorAnswer));
    expect(settled).toMatchObject({ baseName: first, stage: 'error', score: scoreOf(poorAnswer).total_score });
    expect(world.names('error')).toEqual([`${first}.json`, `${first}.txt`]);
    expect(world.metadata('error', first)).toMatchObject({
      ...{ retry_count: 2, status: 'error', failed_at: '2026-01-05T04:01:02.643000' },
      syntex_result: { response_text: poorAnswer, quality_score: scoreOf(poorAnswer) },
      last_error: { error: 'score 24 < 90', duration_ms: 36_454, worker_id: 'cron_syntex', wrapper: 'syntex_system' },
    });
    expect(world.metadata('error', first)).not.toHaveProperty('processed_at');
  });

  it('is compared with the threshold that is asked for', async () => {
    await world.put('incoming', first);
    expect(await queue.complete(await claim(), scored(poorAnswer, 24))).toMatchObject({ stage: 'processed' });
  });

  it('given twice counts once', async () => {
    await world.put('incoming', first);
    const job = await claim();
    await queue.complete(job, scored(goodAnswer));
    const before = world.text('processed', `${first}.json`);
    expect(await queue.settled(job)).toMatchObject({ stage: 'processed', score: 100, repeated: true });
    // Even with another answer: the first one has settled the job.
    expect(await queue.complete(job, scored(poorAnswer))).toMatchObject({ stage: 'processed', repeated: true });
    expect(world.text('processed', `${first}.json`)).toBe(before);
    expect(world.names('error')).toEqual([]);
    await queue.archive([first]);
    expect(await queue.settled(job)).toMatchObject({ stage: 'archive', score: 100 });
  });

  it('never replaces another job of the same name', async () => {
    await world.put('processed', first, { prompt: 'another', metadata: { status: 'success' }, response: 'other' });
    await world.put('incoming', first);
    expect(await queue.complete(await claim(), scored(goodAnswer))).toMatchObject({ baseName: `${first}__copy2` });
    expect(world.text('processed', `${first}.txt`)).toBe('another');
  });
});

describe('a fault', () => {
  it('names the job as the original does, again and again', async () => {
    await world.put('incoming', first);
    await queue.fail(await claim(), { ...call, error: 'HTTPError: Server Error 502' });
    expect(world.names('error')).toEqual([`${first}__retry1.json`, `${first}__retry1.txt`]);
    expect(await queue.retry()).toMatchObject({ requeued: [`${first}__retry1`] });
    const job = await claim(2);
    const fault = { kind: 'WRAPPER_TIMED_OUT', error: 'Timeout after 1800s', detail: 'no answer' };
    expect(await queue.noteFault(job, fault)).toMatchObject([fault]);
    expect((await queue.claimed(job)).faults).toMatchObject([fault]);
    const settled = await queue.fail(job, call);
    expect(settled).toMatchObject({ baseName: `${first}__retry1__retry2`, score: null, reason: 'Timeout after 1800s' });
    expect(world.metadata('error', `${first}__retry1__retry2`)).toMatchObject({
      ...{ retry_count: 2, status: 'error', filename: `${first}.txt` },
      last_error: { error: 'Timeout after 1800s', wrapper: 'syntex_system' },
      tower: { faults: [fault] },
    });
    expect(await queue.fail(job, call)).toMatchObject({ baseName: `${first}__retry1__retry2`, repeated: true });
  });

  it('after a retry by the original’s script shows no score of the earlier try either', async () => {
    const earlier = {
      syntex_result: { quality_score: scoreOf(poorAnswer) },
      status: 'error',
      last_error: { error: 'score 24 < 90' },
    };
    await world.put('incoming', first, { metadata: incomingMetadata(first, earlier) });
    await queue.fail(await claim(), { ...call, error: 'Connection failed: refused' });
    expect(world.metadata('error', `${first}__retry1`)).not.toHaveProperty('syntex_result');
    expect(await queue.scoredJobs()).toEqual([]);
  });

  it('shows no score of an earlier try', async () => {
    await world.put('incoming', first);
    await queue.complete(await claim(), scored(poorAnswer));
    await queue.retry({ scored: true });
    expect(world.metadata('incoming', first)).not.toHaveProperty('syntex_result');
    await queue.fail(await claim(2), { ...call, error: 'Connection failed: refused' });
    const failed = world.metadata('error', `${first}__retry1`);
    expect(failed).not.toHaveProperty('syntex_result');
    expect(failed).toMatchObject({ tower: { earlier_results: [{ syntex_result: { response_text: poorAnswer } }] } });
    expect(await queue.scoredJobs()).toEqual([]);
  });
});

describe('retry and requeue', () => {
  it('retry leaves scored jobs where they are unless it is asked for them', async () => {
    for (const index of [1, 2]) await world.put('incoming', baseName(index));
    await queue.complete(await claim(1), scored(poorAnswer));
    await queue.fail(await claim(2), { ...call, error: 'empty' });
    expect(await queue.retry()).toEqual({
      requeued: [`${baseName(2)}__retry1`],
      skipped: [{ baseName: first, reason: 'it was scored; --scored retries it all the same' }],
    });
    expect(await queue.retry({ scored: true, containing: 'nothing like it' })).toEqual({ requeued: [], skipped: [] });
    expect(await queue.retry({ scored: true })).toMatchObject({ requeued: [first] });
  });

  it('requeue takes a job from wherever it is, with its answer kept', async () => {
    await world.put('incoming', first);
    await queue.complete(await claim(), scored(goodAnswer));
    await queue.archive([first]);
    expect(await queue.requeue([`${first}.txt`, 'unknown'])).toMatchObject({
      requeued: [first],
      skipped: [{ baseName: 'unknown' }],
    });
    expect(world.names('archive')).toEqual([]);
    expect(world.metadata('incoming', first)).toMatchObject({
      tower: { earlier_results: [{ syntex_result: { response_text: goodAnswer } }] },
    });
    expect(await queue.requeue([first])).toMatchObject({ requeued: [] });
  });

  it('neither replaces a waiting job of the same name', async () => {
    await world.put('error', first, { metadata: { status: 'error' } });
    await world.put('incoming', first, { prompt: 'waits' });
    expect(await queue.retry()).toMatchObject({ skipped: [{ reason: 'a job of this name is in incoming' }] });
    expect(world.text('incoming', `${first}.txt`)).toBe('waits');
  });

  it('does not send an answer as a prompt', async () => {
    const metadata = {
      status: 'success',
      syntex_result: { response_text: 'Die Antwort' },
      processed_at: '2025-12-08T03:00:00',
    };
    await world.put('processed', first, { prompt: 'Die Antwort\n', metadata });
    expect(await queue.requeue([first])).toMatchObject({
      skipped: [{ reason: 'its prompt is lost: the original wrote the answer over it' }],
    });
  });
});

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
      queue.noteFault(lost, { kind: 'k', error: 'e', detail: 'd' }),
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
