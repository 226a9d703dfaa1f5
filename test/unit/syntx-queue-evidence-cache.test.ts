import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import { afterEach, beforeEach, expect, it } from 'vitest';

import { packageRoot } from '../../src/files/package-root.js';
import type { Log } from '../../src/log/logger.js';
import { drawPrompts, learningOptionsSchema } from '../../src/syntx/learning/policy.js';
import { asEvidence } from '../../src/syntx/open-syntx.js';
import { readScoredJobs } from '../../src/syntx/queue/evidence.js';
import { cacheLine, readCacheLines, type CacheLine } from '../../src/syntx/queue/evidence-lines.js';
import { QueueStore } from '../../src/syntx/queue/queue-store.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { WorkSlices } from '../../src/work-slices.js';
import { baseName, incomingMetadata, QueueWorld, type StageName } from '../support/syntx-queue.js';

const styles = ['casual', 'technisch'];
const topics = { bildung: ['Physik', 'Chemie'], harmlos: ['Yoga', 'Katzen'] };
/** Files that were written just now may still change unnoticed; to these queues they are old. */
const later = () => new Date(Date.now() + 3_600_000);

let world: QueueWorld;
let queue: SyntxQueue;

beforeEach(async () => {
  world = new QueueWorld();
  mkdirSync(world.path('.tower'));
  mkdirSync(world.path('.tmp'));
  queue = world.open({ now: later });
  for (let number = 0; number < 40; number++) {
    await score(number % 3 === 0 ? 'error' : number % 3 === 1 ? 'processed' : 'archive', number, 50 + number);
  }
});
afterEach(() => world.close());

const nameOf = (number: number) =>
  baseName(number, number % 2 === 0 ? 'bildung' : 'harmlos', styles[number % 4 < 2 ? 0 : 1]);

async function score(stage: StageName, number: number, points: number): Promise<void> {
  const name = nameOf(number);
  const at = `2026-01-05T05:${String(number).padStart(2, '0')}:00`;
  const result = {
    quality_score: { total_score: points, field_completeness: points },
    duration_ms: 1,
    wrapper: 'sigma',
  };
  await world.put(stage, name, {
    metadata: { ...incomingMetadata(name), syntex_result: result, processed_at: at, status: 'success' },
  });
}

const cacheName = () => world.names('.tower').find((name) => name.startsWith('evidence'));
const cacheFile = () => world.path('.tower', cacheName() ?? 'none');

async function content(path = cacheFile()): Promise<(CacheLine | undefined)[]> {
  const found: (CacheLine | undefined)[] = [];
  for await (const line of readCacheLines(path, new WorkSlices())) found.push(line);
  return found;
}

async function lines(path?: string): Promise<CacheLine[]> {
  return (await content(path)).filter((line) => line !== undefined);
}

/** What a queue finds that has never read anything before. */
async function afresh(): Promise<unknown> {
  rmSync(cacheFile(), { recursive: true, force: true });
  return world.open({ now: later }).scoredJobs();
}

it('the same files give the same evidence and the same next generation, with and without what was read before', async () => {
  const cold = await queue.scoredJobs();
  expect(cold).toHaveLength(40);
  expect(await lines()).toHaveLength(40);
  const warm = await world.open({ now: later }).scoredJobs();
  expect(warm).toEqual(cold);
  const drawn = [cold, warm].map((records) =>
    drawPrompts(
      { jobs: asEvidence(records), pending: [], landscape: { styles, topics }, count: 20, seed: 's' },
      learningOptionsSchema.parse({}),
    ),
  );
  expect(drawn[1]).toEqual(drawn[0]);
});

it('what was read is not read again, and is not believed over a file that was touched', async () => {
  await queue.scoredJobs();
  const wrong = (await lines()).map((line) => cacheLine({ ...line, lesson: { ...line.lesson!, score: 1 } }));
  writeFileSync(cacheFile(), wrong.join(''));
  expect(new Set((await queue.scoredJobs()).map((job) => job.score))).toEqual(new Set([1]));
  await utimes(world.path('archive', `${nameOf(2)}.json`), 1, 1);
  const seen = await queue.scoredJobs();
  expect(seen.filter((job) => job.score !== 1)).toMatchObject([{ baseName: nameOf(2), score: 52 }]);
});

it('changed, moved, deleted and new files are seen', async () => {
  await queue.scoredJobs();
  await score('processed', 1, 7);
  for (const ending of ['.json', '.txt']) {
    renameSync(world.path('processed', nameOf(4) + ending), world.path('archive', nameOf(4) + ending));
  }
  rmSync(world.path('error', `${nameOf(3)}.json`));
  await score('error', 90, 33);
  writeFileSync(world.path('processed', `${nameOf(7)}.json`), '{ torn');
  const seen = await queue.scoredJobs();
  const of = (number: number) => seen.find((job) => job.baseName === nameOf(number));
  expect([of(1)?.score, of(4)?.place, of(3), of(90)?.score, of(7)]).toEqual([7, 'archive', undefined, 33, undefined]);
  expect(await afresh()).toEqual(seen);
});

it.each([
  ['cut in a line', () => truncateSync(cacheFile(), 1000)],
  ['with a byte changed', () => damage((text) => text.replace('sigma', 'sigmb'))],
  ['with lines of others between', () => appendFileSync(cacheFile(), '\n00000000 ["x","y"]\n{}\nnull\n')],
  ['with a line that is nothing but its checksum', () => appendFileSync(cacheFile(), '\n00000000 \n')],
  ['with values of other types', () => spoilValues({ score: '7', category: null })],
  ['with a score off the scale', () => spoilValues({ score: 1e9 })],
  ['with a number for a mark', () => appendFileSync(cacheFile(), signed('["x",1]'))],
  ['with lines of numbers', () => appendFileSync(cacheFile(), signed('1') + signed('null') + signed('{}'))],
  ['huge', () => truncateSync(cacheFile(), 2 ** 30)],
  ['a pipe', () => replaced((path) => void execFileSync('mkfifo', [path]))],
  ['not text', () => writeFileSync(cacheFile(), Buffer.from([0, 255, 10, 10, 254]))],
  ['gone', () => rmSync(cacheFile())],
])('a cache that is %s costs nothing but time, and is whole again', async (_, spoil) => {
  const before = await queue.scoredJobs();
  spoil();
  expect(await queue.scoredJobs()).toEqual(before);
  expect(await world.open({ now: later }).scoredJobs()).toEqual(before);
  expect(lstatSync(cacheFile()).isFile()).toBe(true);
  const healed = await content();
  expect({ lines: healed.length, damaged: healed.filter((line) => line === undefined) }).toEqual({
    ...{ lines: 40, damaged: [] },
  });
});

it('a directory in the place of the cache costs nothing but time', async () => {
  const before = await queue.scoredJobs();
  replaced((path) => mkdirSync(path));
  expect(await queue.scoredJobs()).toEqual(before);
});

it('a link in the place of the cache is not followed, neither to read nor to write', async () => {
  const before = await queue.scoredJobs();
  const [path, elsewhere] = [cacheFile(), world.path('elsewhere')];
  const wrong = (await lines()).map((line) => cacheLine({ ...line, lesson: { ...line.lesson!, score: 1 } })).join('');
  writeFileSync(elsewhere, wrong);
  rmSync(path);
  symlinkSync(elsewhere, path);
  await score('processed', 92, 60);
  expect((await queue.scoredJobs()).slice(0, 40)).toEqual(before);
  expect(readFileSync(elsewhere, 'utf8')).toBe(wrong);
  expect(lstatSync(path).isFile()).toBe(true);
});

function replaced(put: (path: string) => void): void {
  const path = cacheFile();
  rmSync(path);
  put(path);
}

/** As Tower would have written it. */
const signed = (text: string) => `\n${crc32(text).toString(16).padStart(8, '0')} ${text}\n`;

/** Every file's line again, with other values. */
function spoilValues(changes: Readonly<Record<string, unknown>>): void {
  damage((text) =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const values = JSON.parse(line.slice(9)) as unknown[];
        const spoilt = values.map((value, index) => {
          const field = ['', '', 'style', 'category', 'wrapper', 'score'][index] ?? '';
          return field in changes ? changes[field] : value;
        });
        return signed(JSON.stringify(spoilt)).trim();
      })
      .join('\n'),
  );
}

function damage(change: (text: string) => string): void {
  writeFileSync(cacheFile(), change(readFileSync(cacheFile(), 'utf8')));
}

it('several that read and write it at once find the same', async () => {
  const queues = Array.from({ length: 6 }, () => world.open({ now: later }));
  const found = await Promise.all(queues.map((one) => one.scoredJobs()));
  await score('processed', 91, 60);
  found.push(...(await Promise.all(queues.map((one) => one.scoredJobs()))));
  expect(found.slice(1, 6)).toEqual(Array.from({ length: 5 }, () => found[0]));
  expect(found.slice(7)).toEqual(Array.from({ length: 5 }, () => found[6]));
  expect(await afresh()).toEqual(found[6]);
});

it('does not grow with files that are gone', async () => {
  for (let round = 0; round < 40; round++) {
    await Promise.all(Array.from({ length: 40 }, (_, number) => score('archive', number, round)));
    await queue.scoredJobs();
  }
  expect((await lines()).length).toBeLessThan(2 * 40 + 1000 + 80);
});

it('a file that was written just now, by either of its times, is not kept: it may change again unnoticed', async () => {
  const path = (number: number) => world.path('archive', `${nameOf(number)}.json`);
  const written = Math.max(...[2, 5].map((number) => statSync(path(number)).ctimeMs));
  // The clock of the file system is ahead of the one that changes its names.
  await utimes(path(5), new Date(), new Date(written + 3_600_000));
  const at = (ms: number) => world.open({ now: () => new Date(written + ms) });
  expect(await at(1000).scoredJobs()).toHaveLength(40);
  expect(cacheName() === undefined ? [] : await lines()).toEqual([]);
  await at(3_600_000).scoredJobs();
  const kept = (await lines()).map(({ key }) => key);
  expect(kept).toHaveLength(39);
  expect(kept).not.toContain(`archive/${nameOf(5)}`);
});

it('is of this version and these zones; what nobody uses any more is removed', async () => {
  await queue.scoredJobs();
  const { version } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as { version: string };
  const { icu, tz } = process.versions;
  const name = `evidence-${version}-icu${icu}-tz${tz}-UTC.cache`;
  expect(cacheName()).toBe(name);
  const [old, used] = ['evidence-1-UTC.cache', 'evidence-0.0.1-Europe-Berlin.cache'];
  for (const other of [old, used]) writeFileSync(world.path('.tower', other), '');
  await utimes(world.path('.tower', old), 1, 1);
  rmSync(world.path('.tower', name));
  await queue.scoredJobs();
  expect(world.names('.tower').filter((entry) => entry.startsWith('evidence'))).toEqual([used, name].sort());
});

it('that cannot be written is said once, and costs nothing but time', async () => {
  const said: string[] = [];
  const log = { warn: (_: object, message: string) => said.push(message) } as unknown as Log;
  const other = world.open({ now: later, log });
  writeFileSync(world.path('elsewhere'), '');
  rmSync(world.path('.tmp'), { recursive: true });
  symlinkSync(world.path('elsewhere'), world.path('.tmp'));
  expect(await other.scoredJobs()).toHaveLength(40);
  expect(await other.scoredJobs()).toHaveLength(40);
  expect(said).toEqual([expect.stringContaining('could not be kept')]);
});

it('leaves the room that jobs need', async () => {
  const store = new QueueStore(world.root, { instance: 'tower-1', timeZone: 'UTC', now: later });
  let free = 10;
  store.hasSpaceFor = (bytes) => Promise.resolve(bytes < free);
  expect(await readScoredJobs(store)).toHaveLength(40);
  expect(cacheName()).toBeUndefined();
  free = 1e6;
  await readScoredJobs(store);
  expect(await lines()).toHaveLength(40);
  store.close();
});

it('a run that is cancelled reads no further', async () => {
  const cancelled = new Error('cancelled');
  await expect(queue.scoredJobs({ signal: AbortSignal.abort(cancelled) })).rejects.toBe(cancelled);
});

it('jobs of every kind and in several files are the same warm, half warm and cold', async () => {
  const put = async (stage: StageName, name: string, changes: object) => {
    const score = { total_score: 64, field_completeness: 40, structure_adherence: 70 };
    const result = { quality_score: score, duration_ms: 12, wrapper: 'human', ...changes };
    const times = { processed_at: '2026-01-06T05:00:00', status: 'success' };
    await world.put(stage, name, {
      metadata: { ...incomingMetadata(name), ...times, syntex_result: result, ...changes },
    });
  };
  await put('processed', nameOf(50), { quality_score: { total_score: 64, total_score_float: 0.64 } });
  await put('archive', nameOf(51), { tower: { simulated: true, topic: 'Zeile\nmit "Zeichen" 🜁' } });
  await put('error', `${nameOf(52)}__retry1`, { wrapper: undefined, duration_ms: undefined });
  // Two files of one job, of the same moment and of another one.
  await put('processed', nameOf(53), {});
  await put('archive', nameOf(53), { duration_ms: 13 });
  await put('error', `${nameOf(53)}__retry1`, { processed_at: '2026-01-05T00:00:00' });
  for (const ending of ['__retry1', '__retry2', '__retry3']) {
    await put('error', nameOf(56) + ending, { duration_ms: Number(ending.slice(-1)) });
  }
  // Nothing to learn, and a score off the scale.
  await world.put('error', nameOf(54), {});
  await put('processed', nameOf(55), { quality_score: { total_score: 1000 } });
  const cold = await queue.scoredJobs();
  const kinds = new Set(cold.map(({ scorer, simulated, topic }) => [scorer, simulated, topic !== null].join()));
  expect(kinds.size).toBe(3);
  expect(cold).toHaveLength(45);
  const twice = cold.filter(({ id }) => [nameOf(53), nameOf(56)].includes(id));
  expect(twice).toMatchObject([
    { place: 'processed', durationMs: 12 },
    { place: 'error', durationMs: 1 },
  ]);
  expect(await queue.scoredJobs()).toEqual(cold);
  const all = readFileSync(cacheFile(), 'utf8').split('\n');
  for (const start of [0, 1, 2]) {
    // Torn within a line, so that what is appended comes after it.
    writeFileSync(
      cacheFile(),
      all
        .filter((_, index) => index % 3 !== start)
        .join('\n')
        .slice(0, -20),
    );
    expect(await world.open({ now: later }).scoredJobs()).toEqual(cold);
    expect(await queue.scoredJobs()).toEqual(cold);
  }
});

it('a queue that only the original has used is looked at without leaving anything', async () => {
  for (const own of ['.tower', '.tmp']) rmSync(world.path(own), { recursive: true });
  expect(await queue.scoredJobs()).toHaveLength(40);
  expect(existsSync(world.path('.tower')) || existsSync(world.path('.tmp'))).toBe(false);
});
