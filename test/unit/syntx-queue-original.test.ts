import { utimesSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { SeededRandom } from '../../src/seeded-random.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { OriginalPrograms } from '../support/syntx-original.js';
import {
  baseName,
  call,
  goodAnswer,
  incomingMetadata,
  owner,
  poorAnswer,
  QueueWorld,
  scored,
  stages,
} from '../support/syntx-queue.js';

let world: QueueWorld;
let queue: SyntxQueue;
let original: OriginalPrograms;
let claims = 0;
const { signal } = new AbortController();

beforeEach(async () => {
  world = new QueueWorld();
  for (const stage of stages) {
    await mkdir(world.path(stage));
    await writeFile(world.path(stage, '.gitkeep'), '');
  }
  queue = world.open({ create: false });
  original = new OriginalPrograms(world.root);
});
afterEach(() => world.close());

async function claim() {
  const job = await queue.claim({ owner, claim: String(++claims) });
  if (job === undefined) throw new Error('nothing waits');
  return job;
}

it('what Tower ends is what the original’s learner, API and scripts expect', async () => {
  for (const index of [1, 2, 3, 4]) await world.put('incoming', baseName(index, 'bildung', 'kreativ'));
  const name = (index: number) => baseName(index, 'bildung', 'kreativ');
  await queue.complete(await claim(), scored(goodAnswer));
  await queue.complete(await claim(), scored(poorAnswer));
  await queue.fail(await claim(), { ...call, error: 'Timeout after 1800s' });

  expect(original.counts()).toEqual({ incoming: 1, processing: 0, processed: 1, error: 2, archive: 0 });
  expect(original.learned()).toEqual([{ file: name(1), score: 100, prompt: `Prompt of ${name(1)}` }]);
  expect(original.fullText(name(1))).toEqual({ prompt: `Prompt of ${name(1)}`, response: goodAnswer });
  expect(original.table()).toMatchObject([
    {
      id: `${name(1)}.txt`,
      topic: 'bildung',
      style: 'kreativ',
      score: 100,
      field_count: '3/3',
      wrapper: 'syntex_system',
    },
  ]);
  // Its retry takes the failed jobs by name, and its consumer the oldest.
  original.manualRetry('__retry1');
  expect(original.nextJob()).toBe(`${name(3)}__retry1.txt`);
  await queue.archive([name(1)]);
  expect(original.counts()).toEqual({ incoming: 2, processing: 0, processed: 0, error: 1, archive: 1 });
  expect(original.learned()).toEqual([]);
});

it('a queue with a history is taken over as it is, beside the original’s own programs', async () => {
  const processed = {
    ...incomingMetadata(baseName(10)),
    syntex_result: { quality_score: { total_score: 76 }, wrapper: 'human', response_text: 'Antwort' },
    ...{ processed_at: '2025-12-20T00:00:00', status: 'success' },
  };
  await world.put('processed', baseName(10), { metadata: processed, response: 'Antwort' });
  const legacy = { topic: 'Klimawandel', style: 'casual', category: 'gesellschaft' };
  await world.put('incoming', '20251125_080248_463038__topic_klimawandel__style_casual', { metadata: legacy });
  const failed = { ...legacy, retry_count: 1, last_error: { error: 'HTTPError: Server Error 504' }, status: 'error' };
  await world.put('error', '20251124_080248_463038__topic_x__style_casual__retry1', { metadata: failed });
  await world.put('processing', baseName(11));
  // Weakness 8: the learner archived a job and left its answer behind.
  await writeFile(world.path('processed', `${baseName(12)}_response.txt`), 'Antwort');
  const before = world.text('processed', `${baseName(10)}.json`);

  expect(await queue.counts()).toMatchObject({
    ...{
      incoming: { jobs: 1 },
      processing: { jobs: 1 },
      processed: { jobs: 1 },
      error: { jobs: 1 },
      archive: { jobs: 0 },
    },
  });
  const job = await claim();
  expect(job.facts).toMatchObject({ topic: 'Klimawandel', category: 'gesellschaft' });
  // The nightly cleanup puts everything back that is in processing: Tower's job, too, which Tower then takes back.
  original.cleanup();
  expect(original.counts()).toMatchObject({ incoming: 2, processing: 0 });
  expect((await claim()).baseName).toBe(baseName(11));
  expect(await queue.complete(job, scored(goodAnswer))).toMatchObject({ stage: 'processed' });
  original.manualRetry('20251124');
  const retried = await claim();
  expect(retried).toMatchObject({
    baseName: '20251124_080248_463038__topic_x__style_casual__retry1',
    facts: { retryCount: 1 },
  });
  expect(await queue.fail(retried, { ...call, error: 'empty' })).toMatchObject({
    baseName: '20251124_080248_463038__topic_x__style_casual__retry1__retry2',
  });

  expect(world.text('processed', `${baseName(10)}.json`)).toBe(before);
  expect(original.table().map(({ score }) => score)).toEqual([100, 76]);
  expect(original.counts()).toEqual({ incoming: 0, processing: 1, processed: 2, error: 1, archive: 0 });
});

it('its cleanup moves the files of a job one by one, by their age: the job counts once all the time, and is whole in the end', async () => {
  const name = baseName(1);
  await world.put('incoming', name);
  await queue.complete(await claim(), scored(goodAnswer));
  const now = Date.now();
  const age = (file: string, days: number) => {
    const at = new Date(now - days * 86_400_000);
    utimesSync(world.path('processed', file), at, at);
  };
  // The prompt is as old as the job, metadata and answer as old as its end.
  age(`${name}.txt`, 9);
  for (const file of [`${name}.json`, `${name}_response.txt`]) age(file, 6);
  original.archiveOld(new Date(now));
  expect([world.names('processed'), world.names('archive')]).toEqual([
    ['.gitkeep', `${name}.json`, `${name}_response.txt`],
    ['.gitkeep', `${name}.txt`],
  ]);
  expect(await queue.scoredJobs()).toMatchObject([{ id: name, score: 100 }]);
  expect(await queue.setAsideBroken({ olderThanMs: 0, dryRun: false, signal })).toEqual([]);
  expect(await queue.counts()).toMatchObject({ processed: { jobs: 0 }, archive: { jobs: 1 } });
  // A producer that has learned from it does not tear it further apart.
  expect(await queue.archive([name])).toMatchObject({ archived: [], skipped: [{ baseName: name }] });

  original.archiveOld(new Date(now + 3 * 86_400_000));
  expect(world.names('archive')).toEqual(['.gitkeep', `${name}.json`, `${name}.txt`, `${name}_response.txt`]);
  expect(await queue.scoredJobs()).toMatchObject([{ id: name, score: 100, place: 'archive' }]);
  expect(world.faults().filter((fault) => !fault.includes('.gitkeep'))).toEqual([]);
});

it('a consumer of the original beside Tower’s: each job is done once, by one of them', async () => {
  const all = Array.from({ length: 60 }, (_, index) => baseName(index));
  for (const name of all) await world.put('incoming', name);
  const done = { tower: 0, original: 0 };
  const random = new SeededRandom('original');
  const towers = async () => {
    for (;;) {
      const job = await queue.claim({ owner, claim: String(++claims) });
      if (job === undefined) return;
      await queue.complete(job, scored(goodAnswer));
      done.tower += 1;
    }
  };
  const originals = async () => {
    for (let name = original.claim(); name !== undefined; name = original.claim()) {
      // Its call; so many of Tower's own steps come in between.
      for (let turn = random.between(20, 200); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve));
      original.finish(name);
      done.original += 1;
    }
  };
  await Promise.all([towers(), originals()]);
  expect(done.tower).toBeGreaterThan(0);
  expect(done.original).toBeGreaterThan(0);
  expect(done.tower + done.original).toBe(60);
  expect(original.table()).toHaveLength(60);
  expect(original.export().every(({ prompt, response }) => prompt.text !== '' && response.text !== '')).toBe(true);
  expect(original.counts()).toEqual({ incoming: 0, processing: 0, processed: 60, error: 0, archive: 0 });
});
