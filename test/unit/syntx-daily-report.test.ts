import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { createSyntxActivities } from '../../src/activities/syntx/tower.js';
import type { SyntxActivities } from '../../src/activities/syntx/interfaces.js';
import { configSchema } from '../../src/config/schema.js';
import { statePaths } from '../../src/config/state-paths.js';
import { fileError, fileFaults, noFileFaults } from '../support/faulty-files.js';
import { baseName, incomingMetadata, QueueWorld } from '../support/syntx-queue.js';

vi.mock('node:fs/promises', async (original) => {
  const { faultyFiles } = await import('../support/faulty-files.js');
  return faultyFiles(await original());
});

let world: QueueWorld;
let home: string;
let activities: SyntxActivities;

beforeEach(() => {
  world = new QueueWorld();
  home = mkdtempSync(join(tmpdir(), 'tower-report-'));
  const settings = { queue: world.root, createQueue: true, timezone: 'UTC', logDirectory: world.path('logs') };
  activities = createSyntxActivities({
    config: configSchema.parse({ syntx: settings }),
    ...{ paths: statePaths(home), host: 'box', log: pino({ level: 'silent' }) },
    readApiKey: () => Promise.reject(new Error('no key is needed')),
    get client(): never {
      throw new Error('no server is needed');
    },
  });
});
afterEach(() => {
  noFileFaults();
  world.close();
  rmSync(home, { recursive: true, force: true });
});

/** A prompt that was scored on a day. */
async function score(number: number, day: string): Promise<void> {
  const name = baseName(number, 'harmlos', 'casual');
  const quality = { total_score: 90, field_completeness: 90, structure_adherence: 100 };
  const result = { quality_score: quality, duration_ms: 1, wrapper: 'sigma', response_text: 'Antwort' };
  const metadata = { ...incomingMetadata(name), syntex_result: result, status: 'success' };
  await world.put('processed', name, { metadata: { ...metadata, processed_at: `${day}T05:00:00` } });
}

/** The activity of one run, of a day's first hour. */
function report(day: string): Promise<unknown> {
  const activity = new MockActivityEnvironment({
    ...{ workflowExecution: { workflowId: 'syntx-monitor', runId: 'one' }, activityId: '2' },
  });
  return activity
    .run(() => activities.reportDayBefore({ logicalTime: `${day}T00:00:00.000Z` }))
    .catch((error: unknown) => error);
}

it('a folder of pages that may not be written is named, and not tried again', async () => {
  await score(1, '2026-01-05');
  fileFaults.decide = ({ path }) => (path.startsWith(join(home, 'reports')) ? fileError('EACCES', path) : 'go');
  expect(await report('2026-01-06')).toMatchObject({
    ...{ code: 'STATE_FORBIDDEN', retryable: false },
    message: expect.stringContaining(join(home, 'reports')) as string,
  });
});

it('a fault that nobody has thought of ends for good after eight times', async () => {
  await score(1, '2026-01-05');
  writeFileSync(join(home, 'reports'), 'a file where a folder belongs');
  for (let time = 1; time < 8; time += 1) {
    expect(await report('2026-01-06')).toMatchObject({ code: 'UNEXPECTED', retryable: true });
  }
  expect(await report('2026-01-06')).toMatchObject({ code: 'UNEXPECTED', retryable: false });
  rmSync(join(home, 'reports'));
  expect(await report('2026-01-06')).toMatchObject({ day: '2026-01-05' });
  expect(readdirSync(join(home, 'reports')).sort()).toEqual(['evolution-2026-01-05.html', 'evolution-2026-01-05.json']);
});

it('days over which Tower was off have their pages later, one with each look; days on which nothing happened have none', async () => {
  for (const [index, day] of ['2025-12-29', '2025-12-30', '2026-01-01', '2026-01-02', '2026-01-05'].entries())
    await score(index, day);
  // On Tuesday, after a long weekend: Monday first, and none of more than a week ago.
  const written = [];
  for (let look = 1; look <= 4; look += 1) written.push(await report('2026-01-06'));
  expect(written).toMatchObject([
    { day: '2026-01-05' },
    { day: '2026-01-02' },
    { day: '2026-01-01' },
    { day: '2025-12-30' },
  ]);
  expect(await report('2026-01-06')).toBeNull();
  expect(await report('2026-01-07')).toBeNull();
});

it('a run that ends after midnight stands in the page of the day on which it ended', async () => {
  const run = 'produce-20260105T220000000Z-3f2a';
  await score(1, '2026-01-05');
  vi.useFakeTimers({ now: new Date('2026-01-06T00:30:00.000Z'), toFake: ['Date'] });
  try {
    const failed = { run, reason: 'no key', logicalTime: '2026-01-05T22:00:00.000Z' };
    await new MockActivityEnvironment().run(() => activities.recordNoProduction(failed));
  } finally {
    vi.useRealTimers();
  }
  expect(await report('2026-01-07')).toMatchObject({ day: '2026-01-06' });
  expect(await report('2026-01-07')).toMatchObject({ day: '2026-01-05' });
  const runsOf = (day: string) => {
    const text = readFileSync(join(home, 'reports', `evolution-${day}.json`), 'utf8');
    return (JSON.parse(text) as { failedRuns: { run: string }[] }).failedRuns.map((failed) => failed.run);
  };
  expect([runsOf('2026-01-05'), runsOf('2026-01-06')]).toEqual([[], [run]]);
});
