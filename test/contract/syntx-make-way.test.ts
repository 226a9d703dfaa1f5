import { mkdirSync } from 'node:fs';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { TowerError } from '../../src/errors.js';
import { startSyntxService, type SyntxService } from '../../src/sims/syntx/server.js';
import { SyntxLogs } from '../../src/syntx/logs/syntx-logs.js';
import type { ClaimedJob } from '../../src/syntx/queue/claim.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { scoreAnswer } from '../../src/syntx/scores/quality-score.js';
import { calibrateJob } from '../../src/syntx/wrapper/calibrate-job.js';
import { UnstoredEnds } from '../../src/syntx/wrapper/unstored-ends.js';
import { WrapperClient } from '../../src/syntx/wrapper/wrapper-client.js';
import { failure } from '../support/server-faults.js';
import { baseName, claimFrom, QueueWorld } from '../support/syntx-queue.js';

const consumer = { wrapper: 'sigma', workerId: 'cron_sigma', sessionId: '519c9a2e', run: 'consume-sigma/1' };
const trainingWaits = new TowerError('GPU_GIVEN_BACK', 'a training waits');
const timeIsOver = new Error('the attempt took longer than its limit');
const full = () => Promise.reject(new TowerError('DISK_FULL', 'no space is left', { retryable: true }));

let world: QueueWorld;
let queue: SyntxQueue;
let service: SyntxService;
let job: ClaimedJob;
let unstored: UnstoredEnds;

beforeEach(async () => {
  world = new QueueWorld();
  queue = world.open();
  mkdirSync(world.path('cron'));
  service = await startSyntxService({ directory: world.path('service') });
  await world.put('incoming', baseName(1));
  job = await claimFrom(queue, 1);
  unstored = new UnstoredEnds();
});
afterEach(async () => {
  await service.close();
  world.close();
});

/** @param endsAt - Beginning of the stage in which it is told to make way, or its own time is over, if it is. */
function attempt(endsAt?: 'asking' | 'keeping', why: 'way' | 'limit' = 'way') {
  const [way, limit] = [new AbortController(), new AbortController()];
  const logs = new SyntxLogs({ cronDirectory: world.path('cron'), dataDirectory: world.path('data'), timeZone: 'UTC' });
  const request = { queue, client: new WrapperClient({ url: service.address }), logs, consumer, job, threshold: 0 };
  const onProgress = ({ stage }: { readonly stage: string }) => {
    if (endsAt === undefined || !stage.startsWith(endsAt)) return;
    if (why === 'way') way.abort(trainingWaits);
    else limit.abort(timeIsOver);
  };
  // Nobody waits so long.
  const storePauseMs = 3_600_000;
  return calibrateJob(
    { ...request, unstored, makeWay: way.signal, storePauseMs },
    { signal: limit.signal, log: pino({ level: 'silent' }), onProgress },
  );
}

it('an answer that cannot be stored makes way, and the next attempt stores it: one call in all', async () => {
  const store = queue.storeAnswer.bind(queue);
  queue.storeAnswer = full;
  for (let time = 1; time <= 2; time += 1) {
    expect(await failure(attempt('keeping'))).toBe(trainingWaits);
  }
  queue.storeAnswer = store;
  expect(await attempt()).toMatchObject({ stage: 'processed' });
  expect([service.calls().length, unstored.size]).toEqual([1, 0]);
  expect(world.faults()).toEqual([]);
});

it('a fault that cannot be noted makes way, and counts with the next attempt', async () => {
  service.faults = [{ times: 1, fault: { kind: 'status', status: 504, detail: 'Gateway Time-out' } }];
  const note = queue.noteFault.bind(queue);
  queue.noteFault = full;
  expect(await failure(attempt('keeping'))).toBe(trainingWaits);
  queue.noteFault = note;
  expect(await failure(attempt())).toMatchObject({ code: 'WRAPPER_TIMED_OUT', retryable: true });
  expect((await queue.claimed(job)).faults).toHaveLength(1);
  expect([service.calls().length, unstored.size]).toEqual([1, 0]);
});

it('what can be stored is stored first, also where the attempt is told to make way while the model answers', async () => {
  service.faults = [{ times: 1, fault: { kind: 'status', status: 504, detail: 'Gateway Time-out' } }];
  expect(await failure(attempt('asking'))).toMatchObject({ code: 'WRAPPER_TIMED_OUT' });
  expect((await queue.claimed(job)).faults).toHaveLength(1);
  expect(unstored.size).toBe(0);
});

it.each(['this claim', 'the next claim of the job'])(
  'an answer that an attempt kept when its time was over is stored by the next one, of %s: one call in all',
  async (whose) => {
    const store = queue.storeAnswer.bind(queue);
    queue.storeAnswer = full;
    await expect(attempt('keeping', 'limit')).rejects.toBe(timeIsOver);
    queue.storeAnswer = store;
    if (whose !== 'this claim') {
      await queue.giveBack(job);
      job = await claimFrom(queue, 2);
    }
    expect(await attempt()).toMatchObject({ stage: 'processed' });
    expect([service.calls().length, unstored.size]).toEqual([1, 0]);
    expect(world.faults()).toEqual([]);
  },
);

it('a fault that an attempt kept does not count against the next claim of the job', async () => {
  service.faults = [{ times: 1, fault: { kind: 'status', status: 504, detail: 'Gateway Time-out' } }];
  const note = queue.noteFault.bind(queue);
  queue.noteFault = full;
  expect(await failure(attempt('keeping'))).toBe(trainingWaits);
  queue.noteFault = note;
  await queue.giveBack(job);
  job = await claimFrom(queue, 2);
  expect(await attempt()).toMatchObject({ stage: 'processed' });
  expect([service.calls().length, unstored.size]).toEqual([2, 0]);
});

it('a job that others have settled and that was put back meanwhile is answered anew', async () => {
  const store = queue.storeAnswer.bind(queue);
  queue.storeAnswer = full;
  expect(await failure(attempt('keeping'))).toBe(trainingWaits);
  queue.storeAnswer = store;
  await queue.giveBack(job);
  job = await claimFrom(queue, 2);
  const response = 'the answer of somebody else';
  const { score } = scoreAnswer(response)!;
  const facts = { wrapper: 'sigma', workerId: 'cron_other', sessionId: '4b1d', durationMs: 1 };
  expect(await queue.complete(job, { ...facts, score, response, threshold: 90 })).toMatchObject({ stage: 'error' });
  expect(await queue.requeue([job.baseName])).toMatchObject({ requeued: [job.baseName] });
  job = await claimFrom(queue, 3);
  expect(await attempt()).toMatchObject({ stage: 'processed' });
  expect([service.calls().length, unstored.size]).toEqual([2, 0]);
});

it('what a newer claim has kept is not lost with an older one', async () => {
  const older = job;
  await queue.giveBack(older);
  job = await claimFrom(queue, 2);
  queue.storeAnswer = full;
  expect(await failure(attempt('keeping'))).toBe(trainingWaits);
  const newer = job;
  job = older;
  expect(await failure(attempt())).toMatchObject({ code: 'LEASE_LOST' });
  expect(unstored.find(newer, 'sigma')).toMatchObject({ what: 'answer' });
});

it('nothing is kept of a job that others have taken away', async () => {
  queue.storeAnswer = full;
  expect(await failure(attempt('keeping'))).toBe(trainingWaits);
  expect(unstored.size).toBe(1);
  await queue.giveBack(job);
  expect(await failure(attempt())).toMatchObject({ code: 'LEASE_LOST' });
  expect(unstored.size).toBe(0);
});

it('what is kept has a limit, for jobs that nobody comes back to', () => {
  const end = { what: 'answer', store: full } as const;
  for (let index = 1; index <= 100; index += 1) unstored.keep({ ...job, baseName: baseName(index) }, 'sigma', end);
  expect(unstored.size).toBe(32);
  expect(unstored.find({ ...job, baseName: baseName(100) }, 'sigma')).toBe(end);
});
