import { mkdirSync } from 'node:fs';

import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { TowerError } from '../../src/errors.js';
import { startSyntxService, type SyntxService } from '../../src/sims/syntx/server.js';
import { SyntxLogs } from '../../src/syntx/logs/syntx-logs.js';
import type { ClaimedJob } from '../../src/syntx/queue/claim.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import { calibrateJob, type CallEnd } from '../../src/syntx/wrapper/calibrate-job.js';
import { WrapperClient } from '../../src/syntx/wrapper/wrapper-client.js';
import { failure } from '../support/server-faults.js';
import { baseName, claimFrom, QueueWorld } from '../support/syntx-queue.js';

const consumer = { wrapper: 'sigma', workerId: 'cron_sigma', sessionId: '519c9a2e', run: 'consume-sigma/1' };
const trainingWaits = new TowerError('GPU_GIVEN_BACK', 'a training waits');
const full = () => Promise.reject(new TowerError('DISK_FULL', 'no space is left', { retryable: true }));

let world: QueueWorld;
let queue: SyntxQueue;
let service: SyntxService;
let job: ClaimedJob;
let unstored: Map<string, CallEnd>;

beforeEach(async () => {
  world = new QueueWorld();
  queue = world.open();
  mkdirSync(world.path('cron'));
  service = await startSyntxService({ directory: world.path('service') });
  await world.put('incoming', baseName(1));
  job = await claimFrom(queue, 1);
  unstored = new Map();
});
afterEach(async () => {
  await service.close();
  world.close();
});

/** @param makesWayAt - Beginning of the stage in which it is told to make way, if it is. */
function attempt(makesWayAt?: 'asking' | 'keeping') {
  const way = new AbortController();
  const logs = new SyntxLogs({ cronDirectory: world.path('cron'), dataDirectory: world.path('data'), timeZone: 'UTC' });
  const request = { queue, client: new WrapperClient({ url: service.address }), logs, consumer, job, threshold: 0 };
  const onProgress = ({ stage }: { readonly stage: string }) => {
    if (makesWayAt !== undefined && stage.startsWith(makesWayAt)) way.abort(trainingWaits);
  };
  // Nobody waits so long.
  const storePauseMs = 3_600_000;
  return calibrateJob(
    { ...request, unstored, makeWay: way.signal, storePauseMs },
    { signal: new AbortController().signal, log: pino({ level: 'silent' }), onProgress },
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
