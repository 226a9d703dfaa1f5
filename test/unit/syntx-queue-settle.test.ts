import { renameSync } from 'node:fs';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import {
  baseName,
  call,
  claimFrom,
  goodAnswer,
  incomingMetadata,
  poorAnswer,
  QueueWorld,
  scored,
  scoreOf,
} from '../support/syntx-queue.js';

const first = baseName(1);
const now = new Date('2026-01-05T04:01:02.643Z');

let world: QueueWorld;
let queue: SyntxQueue;

beforeEach(() => {
  world = new QueueWorld();
  queue = world.open({ now: () => now });
});
afterEach(() => world.close());

const claim = (number = 1, from = queue) => claimFrom(from, number);

describe('a score', () => {
  it('of the threshold and more goes to processed: a triple with the keys of the original', async () => {
    await world.put('incoming', first);
    const settled = await queue.complete(await claim(), scored(goodAnswer));
    expect(settled).toEqual({
      ...{ baseName: first, stage: 'processed', score: 100, reason: null, simulated: false, repeated: false },
    });
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

  it('of a simulated service is marked under Tower’s own key; the mark goes with the score when the job is tried anew', async () => {
    await world.put('incoming', first);
    const held = await claim();
    expect(await queue.complete(held, { ...scored(poorAnswer), simulated: true })).toMatchObject({ simulated: true });
    expect(await queue.complete(held, scored(poorAnswer))).toMatchObject({ simulated: true, repeated: true });
    const marked = world.metadata('error', first);
    expect(Object.keys(marked).at(-1)).toBe('tower');
    expect(marked['tower']).toMatchObject({ simulated: true });
    expect(await queue.list('error')).toMatchObject([{ simulated: true }]);
    expect(await queue.scoredJobs()).toMatchObject([{ simulated: true }]);

    await queue.requeue([first]);
    expect(await queue.list('incoming')).toMatchObject([{ simulated: false }]);
    await queue.complete(await claim(2), scored(goodAnswer));
    const own = world.metadata('processed', first)['tower'] as Record<string, unknown>;
    expect(own['simulated']).toBeUndefined();
    expect(own['earlier_results']).toMatchObject([{ simulated: true }]);
  });

  it('of a real service is not marked, also when a plain move has brought the job back', async () => {
    await world.put('incoming', first);
    await queue.complete(await claim(), { ...scored(poorAnswer), simulated: true });
    for (const ending of ['.json', '.txt']) {
      renameSync(world.path('error', first + ending), world.path('incoming', first + ending));
    }
    const again = world.open({ now: () => now });
    expect(await again.complete(await claim(2, again), scored(goodAnswer))).toMatchObject({ simulated: false });
    expect(world.metadata('processed', first)['tower']).not.toHaveProperty('simulated');
    expect(await again.scoredJobs()).toMatchObject([{ score: 100, simulated: false }]);
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

describe('metadata in error', () => {
  it.each([
    ['a low score', 'syntex_result'],
    ['a fault', 'retry_count'],
  ])('of %s have the keys in the order of the original, after those of incoming', async (what, added) => {
    const incoming = incomingMetadata(first);
    await world.put('incoming', first, { metadata: incoming });
    const job = await claim();
    const { baseName: name } = await (what === 'a fault'
      ? queue.fail(job, { ...call, error: 'Timeout after 1800s' })
      : queue.complete(job, scored(poorAnswer)));
    const ended = world.metadata('error', name);
    expect(Object.keys(ended)).toEqual([
      ...Object.keys(incoming),
      ...[added, 'last_error', 'failed_at', 'status'],
      'tower',
    ]);
    expect(Object.keys(ended['last_error'] as object)).toEqual(['error', 'duration_ms', 'worker_id', 'wrapper']);
  });
});

describe('a fault', () => {
  it('takes as long as the call that failed last', async () => {
    await world.put('incoming', first);
    const job = await claim();
    const fault = { kind: 'WRAPPER_TIMED_OUT', error: 'Timeout after 1800s', detail: '' };
    await queue.noteFault(job, { ...fault, durationMs: 15, at: '2026-01-05T04:01:02.643Z' });
    await queue.noteFault(job, { ...fault, durationMs: 1_800_004, at: '2026-01-05T05:01:02.643Z' });
    const { sessionId, wrapper, workerId } = call;
    await queue.fail(job, { sessionId, wrapper, workerId });
    expect(world.metadata('error', `${first}__retry1`)).toMatchObject({
      last_error: { error: 'Timeout after 1800s', duration_ms: 1_800_004 },
      tower: { faults: [{ durationMs: 15 }, { durationMs: 1_800_004 }] },
    });
  });

  it('names the job as the original does, again and again', async () => {
    await world.put('incoming', first);
    await queue.fail(await claim(), { ...call, error: 'HTTPError: Server Error 502' });
    expect(world.names('error')).toEqual([`${first}__retry1.json`, `${first}__retry1.txt`]);
    expect(await queue.retry()).toMatchObject({ requeued: [`${first}__retry1`] });
    const job = await claim(2);
    const fault = {
      kind: 'WRAPPER_TIMED_OUT',
      error: 'Timeout after 1800s',
      detail: 'no answer',
      at: '2026-01-05T04:01:02.643Z',
    };
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

  it('sends a prompt that was answered with its own words once more', async () => {
    await world.put('incoming', first, { prompt: poorAnswer });
    await queue.complete(await claim(), scored(poorAnswer));
    expect(await queue.find(first)).toMatchObject([{ place: 'error', prompt: poorAnswer, response: poorAnswer }]);
    expect(await queue.retry({ scored: true })).toEqual({ requeued: [first], skipped: [] });
  });

  it('has a job answered anew, also where an earlier claim has left an answer', async () => {
    const question = { wrapper: 'sigma', prompt: `Prompt of ${first}` };
    await world.put('incoming', first);
    const job = await claim();
    await queue.storeAnswer(job, job.prompt, { wrapper: 'sigma', response: 'x', durationMs: 1, attempts: 1 });
    await queue.giveBack(job);
    expect(await queue.findAnswer(first, question)).toMatchObject({ response: 'x' });

    // A consumer of the original comes first.
    for (const ending of ['.json', '.txt']) {
      renameSync(world.path('incoming', first + ending), world.path('processed', first + ending));
    }
    expect(await queue.requeue([first])).toMatchObject({ requeued: [first] });
    expect(await queue.findAnswer(first, question)).toBeUndefined();
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
