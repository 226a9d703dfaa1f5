import { writeFile } from 'node:fs/promises';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { inOrderOfScoring } from '../../src/syntx/learning/scored-job.js';
import { jobFacts } from '../../src/syntx/queue/job-facts.js';
import { partsOf } from '../../src/syntx/queue/job-name.js';
import { instantOf, localTimestamp } from '../../src/syntx/queue/local-time.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import {
  baseName,
  goodAnswer,
  incomingMetadata,
  owner,
  processedMetadata,
  QueueWorld,
} from '../support/syntx-queue.js';

const first = baseName(1);

let world: QueueWorld;
let queue: SyntxQueue;

beforeEach(() => {
  world = new QueueWorld();
  queue = world.open();
});
afterEach(() => world.close());

describe('metadata of', () => {
  const facts = (metadata: Record<string, unknown>, name = first) => jobFacts(name, metadata, 'UTC');

  it('the evolutionary producer has no topic', () => {
    expect(facts(incomingMetadata(first))).toMatchObject({
      ...{ id: first, topic: null, category: 'harmlos', style: 'casual', language: 'de', retryCount: 0, score: null },
      createdAt: Date.parse('2026-01-05T04:00:10.464Z'),
    });
  });

  it('the queue-aware producer has both', () => {
    expect(facts({ topic: 'Klimawandel', style: 'kreativ', category: 'gesellschaft' })).toMatchObject({
      ...{ topic: 'Klimawandel', category: 'gesellschaft', style: 'kreativ' },
    });
  });

  it('the multilingual producer has them swapped', () => {
    const metadata = {
      topic: 'bildung',
      style: 'casual',
      category: 'Physik verstehen',
      language: 'hu',
      multilingual: true,
    };
    expect(facts(metadata)).toMatchObject({ topic: 'Physik verstehen', category: 'bildung', language: 'hu' });
  });

  it('a prompt that was claimed before its metadata came is in its name', () => {
    const name = '20251125_080248_463038__topic_kuenstliche_intelligenz_und___style_akademisch__retry1';
    expect(facts({}, name)).toMatchObject({
      ...{ id: name.slice(0, -'__retry1'.length), category: 'kuenstliche_intelligenz_und_', style: 'akademisch' },
      createdAt: Date.parse('2025-11-25T08:02:48.463Z'),
    });
    expect(facts({}, 'any-name')).toMatchObject({ id: 'any-name', category: null, style: null, createdAt: null });
  });

  it('Tower has the real topic', () => {
    expect(facts(incomingMetadata(first, { tower: { topic: 'Brettspiele' } }))).toMatchObject({ topic: 'Brettspiele' });
  });

  it('a job with an empty or unparsed answer has no score; one with the score 0 has', () => {
    const withScore = (score: unknown) =>
      facts({ syntex_result: { quality_score: score, response_text: '' }, status: 'success' });
    expect(withScore(null).score).toBeNull();
    expect(withScore({ total_score: null }).score).toBeNull();
    expect(withScore({ total_score: 0 }).score).toMatchObject({ total: 0, version: 'v1' });
  });

  it('the opt-in scorer is told from the default one', () => {
    const score = {
      total_score: 64,
      total_score_float: 0.643,
      detail_breakdown: { driftkorper: { found: true } },
      status: 'OK',
    };
    expect(facts({ syntex_result: { quality_score: score } }).score).toMatchObject({ total: 64, version: 'v2' });
  });

  it('a failure of either kind', () => {
    const handled = { error: 'Timeout after 3600s', duration_ms: 1, worker_id: 'w', wrapper: 'sigma' };
    const times = { failed_at: '2026-01-05T05:00:00', processed_at: '2026-01-05T04:00:00' };
    expect(facts({ retry_count: 2, last_error: handled, status: 'error', ...times })).toMatchObject({
      ...{ retryCount: 2, error: 'Timeout after 3600s', wrapper: 'sigma', lowScore: false },
      settledAt: Date.parse('2026-01-05T05:00:00Z'),
    });
    const thrown = { error: 'x', exception_type: 'WrapperNotFoundError', worker_id: 'w' };
    expect(facts({ last_error: thrown, status: 'error' })).toMatchObject({ error: 'x', wrapper: null });
    // What an earlier failure left behind in a job that succeeded later.
    expect(facts({ last_error: handled, status: 'success', ...times })).toMatchObject({
      settledAt: Date.parse('2026-01-05T04:00:00Z'),
    });
  });

  it('nonsense is read as nothing', () => {
    const nonsense = {
      topic: 3,
      style: null,
      syntex_result: 'x',
      last_error: [],
      retry_count: '1',
      created_at: 'yesterday',
    };
    expect(facts(nonsense)).toMatchObject({ topic: null, style: 'casual', score: null, error: null, retryCount: 0 });
  });
});

it('names keep what they say', () => {
  expect(partsOf('20251208_080248_463038__topic_gesellschaft__style_technisch__retry1__retry2')).toEqual({
    ...{ createdAt: '2025-12-08T08:02:48.463038', subject: 'gesellschaft', style: 'technisch' },
  });
});

it('local times go there and back, also around a change of the clock', () => {
  const zone = 'Europe/Berlin';
  for (const time of [
    '2026-03-29T00:59:59.001Z',
    '2026-03-29T01:00:00.000Z',
    '2026-10-25T02:00:00.000Z',
    '2026-07-01T12:00:00.500Z',
  ]) {
    expect(instantOf(localTimestamp(new Date(time), zone), zone), time).toBe(Date.parse(time));
  }
  expect(localTimestamp(new Date('2026-07-01T12:00:00.000Z'), zone)).toBe('2026-07-01T14:00:00');
  expect(instantOf('2026-07-01T12:00:00.123456Z', zone)).toBe(Date.parse('2026-07-01T12:00:00.123Z'));
  expect(instantOf('2026-07-01T12:00:00+02:00', zone)).toBe(Date.parse('2026-07-01T10:00:00Z'));
  expect(instantOf('soon')).toBeUndefined();
});

describe('a prompt that the original wrote its answer over', () => {
  const at = (processedAt: string, text?: string) => {
    const { syntex_result: result, ...rest } = processedMetadata(first, { processed_at: processedAt });
    return { ...rest, syntex_result: { ...(result as object), response_text: text } };
  };
  it.each([
    [
      'the answer was back-filled',
      'Die Antwort\n',
      at('2025-12-08T03:00:00', 'Die Antwort'),
      undefined,
      null,
      'Die Antwort',
    ],
    ['it was not, in those days', 'Die Antwort', at('2025-12-08T03:00:00'), undefined, null, 'Die Antwort'],
    ['before those days', 'Der Prompt', at('2025-12-06T03:00:00'), undefined, 'Der Prompt', null],
    ['after them', 'Der Prompt', at('2025-12-11T03:00:00', 'Die Antwort'), 'Die Antwort', 'Der Prompt', 'Die Antwort'],
  ] as const)('%s', async (...[, text, metadata, response, prompt, answer]) => {
    await world.put('processed', first, { prompt: text, metadata, response });
    expect(await queue.find(first)).toMatchObject([{ prompt, response: answer }]);
  });
});

describe('evidence', () => {
  const job = (index: number) => baseName(index, 'bildung', 'kreativ');

  it('is every scored job of the three places, each once, oldest first', async () => {
    await world.put('archive', job(1), { metadata: processedMetadata(job(1)) });
    await world.put('processed', job(2), {
      metadata: processedMetadata(job(2), { processed_at: '2026-01-04T00:00:00' }),
      response: 'x',
    });
    const low = { status: 'error', last_error: { error: 'score 45 < 90' }, failed_at: '2026-01-06T00:00:00' };
    await world.put('error', job(3), { metadata: processedMetadata(job(3), low) });
    // A split pair: the original has archived the prompt and not yet the metadata.
    await world.put('archive', job(4), { metadata: null });
    await writeFile(world.path('processed', `${job(4)}.json`), JSON.stringify(processedMetadata(job(4))));
    // Unscored, unreadable, waiting: no evidence.
    await world.put('error', `${job(5)}__retry1`, { metadata: { ...incomingMetadata(job(5)), status: 'error' } });
    await world.put('processed', job(6), { metadata: '{' });
    await world.put('incoming', job(7), { metadata: processedMetadata(job(7)) });
    // The same job twice, by hand: the later score counts.
    await world.put('error', `${job(1)}__retry1`, {
      metadata: processedMetadata(job(1), { processed_at: '2026-01-01T00:00:00' }),
    });

    const jobs = await queue.scoredJobs();
    expect(jobs.map(({ id, place }) => [id, place])).toEqual([
      [job(2), 'processed'],
      [job(1), 'archive'],
      [job(4), 'processed'],
      [job(3), 'error'],
    ]);
    expect(jobs[0]).toEqual({
      ...{
        id: job(2),
        baseName: job(2),
        simulated: false,
        place: 'processed',
        style: 'kreativ',
        category: 'bildung',
        topic: null,
      },
      ...{ wrapper: 'syntex_system', score: 100, scorer: 'v1', fieldCompleteness: 100, structureAdherence: 100 },
      ...{ scoredAt: Date.parse('2026-01-04T00:00:00Z'), durationMs: 36_454 },
    });
    // A fault after an earlier try was scored, and one that came after the answer.
    const earlier = { error: 'Timeout after 3600s', duration_ms: 1, worker_id: 'cron_sigma', wrapper: 'sigma' };
    const later = { error: 'No such file', exception_type: 'FileNotFoundError', worker_id: 'cron_sigma' };
    for (const [index, last] of [
      [8, earlier],
      [9, later],
    ] as const) {
      await world.put('error', `${job(index)}__retry1`, {
        metadata: processedMetadata(job(index), {
          status: 'error',
          last_error: last,
          failed_at: '2026-01-07T00:00:00',
        }),
      });
    }
    expect((await queue.scoredJobs()).map(({ id }) => id)).toEqual([...jobs.map(({ id }) => id), job(9)]);
    // The learner takes them as they are.
    expect(inOrderOfScoring(jobs)).toHaveLength(4);
  });
});

describe('archiving', () => {
  it('takes triples and old pairs, and nothing that is no job', async () => {
    await world.put('processed', baseName(1), { metadata: processedMetadata(baseName(1)), response: goodAnswer });
    await world.put('processed', baseName(2), { metadata: processedMetadata(baseName(2)) });
    await world.put('processed', baseName(3), { metadata: null });
    const result = await queue.archive([baseName(1), baseName(2), baseName(3), 'unknown']);
    expect(result).toMatchObject({
      archived: [baseName(1), baseName(2)],
      skipped: [{ baseName: baseName(3) }, { baseName: 'unknown' }],
    });
    expect(await queue.archive([baseName(1)])).toMatchObject({ archived: [baseName(1)], skipped: [] });
    expect(world.names('archive')).toEqual([
      ...[`${baseName(1)}.json`, `${baseName(1)}.txt`, `${baseName(1)}_response.txt`],
      ...[`${baseName(2)}.json`, `${baseName(2)}.txt`],
    ]);
    // Moved as they are.
    expect(world.text('archive', `${first}.json`)).toBe(JSON.stringify(processedMetadata(first), null, 2));
  });
});

it('listing and finding show what a person looks for', async () => {
  await world.put('incoming', baseName(1, 'bildung'));
  await world.put('incoming', baseName(2, 'harmlos'));
  await world.put('processed', baseName(3, 'bildung'), {
    metadata: processedMetadata(baseName(3, 'bildung')),
    response: goodAnswer,
  });
  await queue.claim({ owner, claim: '1' });
  expect(await queue.list('processing')).toMatchObject([{ baseName: baseName(1, 'bildung'), owner }]);
  expect(await queue.list('incoming', 5)).toMatchObject([
    { category: 'harmlos', score: null, owner: null, fault: null },
  ]);
  expect((await queue.find('bildung')).map(({ place }) => place)).toEqual(['processing', 'processed']);
  expect(await queue.find(`${baseName(3, 'bildung')}.json`)).toMatchObject([
    { place: 'processed', prompt: expect.any(String) as string, response: goodAnswer, score: { total: 100 } },
  ]);
  expect(await queue.find('nothing like it')).toEqual([]);
});
