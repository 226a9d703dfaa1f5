import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { TowerError } from '../../src/errors.js';
import { landscapeSchema } from '../../src/sims/syntx/landscape.js';
import { startSyntxService, type SyntxService } from '../../src/sims/syntx/server.js';
import { SyntxLogs } from '../../src/syntx/logs/syntx-logs.js';
import type { ClaimedJob } from '../../src/syntx/queue/claim.js';
import type { SyntxQueue } from '../../src/syntx/queue/syntx-queue.js';
import {
  calibrateJob,
  giveUpJob,
  type CalibrationProgress,
  type CalibrationRequest,
} from '../../src/syntx/wrapper/calibrate-job.js';
import { CallTurns } from '../../src/syntx/wrapper/call-turns.js';
import { WrapperClient } from '../../src/syntx/wrapper/wrapper-client.js';
import { failure } from '../support/server-faults.js';
import { baseName, owner, QueueWorld } from '../support/syntx-queue.js';

const first = baseName(1);
const prompt = 'Erkläre locker, was an Brettspielen reizt. Brettspiele';
const consumer = { wrapper: 'sigma', workerId: 'cron_sigma', sessionId: '519c9a2e', run: 'consume-sigma/1' };
const options = { signal: new AbortController().signal, log: pino({ level: 'silent' }) };
const budget = { backoff: { retries: 2, firstMs: 10, longestMs: 20 }, lateMs: 1000, onceMs: 5 };

let world: QueueWorld;
let queue: SyntxQueue;
let service: SyntxService;
let logs: SyntxLogs;

beforeEach(async () => {
  world = new QueueWorld();
  queue = world.open();
  mkdirSync(world.path('cron'));
  logs = new SyntxLogs({ cronDirectory: world.path('cron'), dataDirectory: world.path('data'), timeZone: 'UTC' });
  service = await startSyntxService({ directory: world.path('service'), landscape: scoring(98) });
});
afterEach(async () => {
  vi.useRealTimers();
  await service.close();
  world.close();
});

function scoring(mean: number) {
  return landscapeSchema.parse({ means: { '*': { casual: { harmlos: mean } } }, noise: 0, otherwise: mean });
}

async function claim(number = 1): Promise<ClaimedJob> {
  const job = await queue.claim({ owner, claim: String(number) });
  if (job === undefined) throw new Error('nothing waits');
  return job;
}

function request(job: ClaimedJob, changes: Partial<CalibrationRequest> = {}): CalibrationRequest {
  const client = new WrapperClient({ url: service.address });
  return { queue, client, logs, consumer, job, threshold: 90, budget, storePauseMs: 1, ...changes };
}

/** The clock goes on by so much, and by nothing else. */
function pass(milliseconds: number): void {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + milliseconds });
}

function lines(...path: string[]): Record<string, unknown>[] {
  const text = readFileSync(join(world.root, ...path), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

it('a good answer ends in processed, with its lines in the logs', async () => {
  await world.put('incoming', first, { prompt });
  const job = await claim();
  expect(await calibrateJob(request(job), options)).toMatchObject({
    ...{ stage: 'processed', score: 98, simulated: true, repeated: false },
  });
  const response = world.text('processed', `${first}_response.txt`);
  expect(world.metadata('processed', first)['syntex_result']).toMatchObject({
    ...{ wrapper: 'sigma', worker_id: 'cron_sigma', session_id: '519c9a2e', response_text: response },
  });
  expect(lines('data', 'syntex_calibrations.jsonl')).toEqual([
    {
      ...{ timestamp: expect.stringMatching(/Z$/) as string, system: 'SYNTX::TRUE_RAW', meta_prompt: prompt },
      ...{ meta_prompt_length: [...prompt].length, full_prompt_length: [...prompt].length },
      ...{ response, response_length: [...response].length, success: true, error: null },
      ...{ duration_ms: expect.any(Number) as number, retry_count: 0 },
      model_params: { max_new_tokens: 1024, temperature: 0.3, top_p: 0.85, do_sample: true },
      quality_score: expect.objectContaining({ total_score: 98 }) as object,
      parsed_fields: expect.objectContaining({
        sigma_drift: expect.any(String) as string,
        drift: null,
        driftkorper: null,
      }) as object,
      tower_call: job.token,
    },
  ]);
  expect(Object.keys(lines('data', 'syntex_calibrations.jsonl')[0]?.['parsed_fields'] as object)).toHaveLength(15);
  const progress = {
    ...{ timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string, session_id: '519c9a2e' },
    ...{ quality_score: 98, field_completeness: 100, structure_adherence: 96 },
    ...{ meta_prompt_length: [...prompt].length, tower_call: job.token },
  };
  expect(lines('data', 'syntex_progress.jsonl').map((line) => Object.entries(line))).toEqual([
    Object.entries(progress),
  ]);
  expect(readFileSync(world.path('cron', 'consumer_sigma_cron.log'), 'utf8')).toBe(
    `Processing: ${first}.txt\n   ✅ Score: 98/100 → processed/\n`,
  );

  // The activity runs again: nothing is asked, moved or logged a second time.
  expect(await calibrateJob(request(job), options)).toMatchObject({ stage: 'processed', score: 98, repeated: true });
  expect(service.calls()).toHaveLength(1);
  expect(lines('data', 'syntex_calibrations.jsonl')).toHaveLength(1);
  expect(readFileSync(world.path('cron', 'consumer_sigma_cron.log'), 'utf8').match(/Processing/g)).toHaveLength(1);
  expect(world.faults()).toEqual([]);
});

it('two attempts at the same time settle a job once, and agree', async () => {
  service.faults = [{ times: 2, fault: { kind: 'slow', delayMs: 100 } }];
  await world.put('incoming', first, { prompt });
  const job = await claim();
  const outcomes = await Promise.all([calibrateJob(request(job), options), calibrateJob(request(job), options)]);
  expect(outcomes).toMatchObject([
    { stage: 'processed', score: 98 },
    { stage: 'processed', score: 98 },
  ]);
  expect(outcomes.filter(({ repeated }) => !repeated)).toHaveLength(1);
  expect(lines('data', 'syntex_calibrations.jsonl')).toHaveLength(1);
  expect(world.faults()).toEqual([]);
});

it('a low score ends in error as a score', async () => {
  service.landscape = scoring(45);
  await world.put('incoming', first, { prompt });
  const settled = await calibrateJob(request(await claim()), options);
  expect(settled).toMatchObject({ baseName: first, stage: 'error' });
  expect(settled.reason).toBe(`score ${settled.score} < 90`);
  expect(world.metadata('error', first)).not.toHaveProperty('retry_count');
  expect(readFileSync(world.path('cron', 'consumer_sigma_cron.log'), 'utf8')).toContain(
    `   ❌ Score: ${settled.score}/100 → error/`,
  );
});

it.each([[''], [' \n\t ']])('an answer without text (%j) is unscored, with its reason', async (response) => {
  service.faults = [{ times: 1, fault: { kind: 'text', response } }];
  await world.put('incoming', first, { prompt });
  expect(await calibrateJob(request(await claim()), options)).toMatchObject({
    ...{ baseName: `${first}__retry1`, stage: 'error', score: null, reason: 'empty' },
  });
  expect(await queue.scoredJobs()).toEqual([]);
  expect(lines('data', 'syntex_calibrations.jsonl')).toMatchObject([{ success: true, quality_score: null, response }]);
});

describe('a stored answer', () => {
  it('is scored, and the model is not asked again', async () => {
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const response = '1. DRIFT: eins.';
    await queue.storeAnswer(job, prompt, { wrapper: 'sigma', response, durationMs: 1_800_000, attempts: 2 });
    expect(await calibrateJob(request(job), options)).toMatchObject({ stage: 'error' });
    expect(service.calls()).toEqual([]);
    expect(lines('data', 'syntex_calibrations.jsonl')).toMatchObject([
      { response, retry_count: 1, duration_ms: 1_800_000 },
    ]);
  });

  it.each([
    ['while the disk is full', new TowerError('DISK_FULL', 'no space is left', { retryable: true })],
    ['after a bad moment of the disk', Object.assign(new Error('EIO: i/o error, write'), { syscall: 'write' })],
  ])('is kept until it can be written %s: the model is not asked again', async (_when, trouble) => {
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const store = queue.storeAnswer.bind(queue);
    queue.storeAnswer = () => {
      queue.storeAnswer = store;
      return Promise.reject(trouble);
    };
    const stages: string[] = [];
    const watched = { ...options, onProgress: ({ stage }: CalibrationProgress) => stages.push(stage) };
    expect(await calibrateJob(request(job), watched)).toMatchObject({ stage: 'processed', score: 98 });
    expect(service.calls()).toHaveLength(1);
    expect(stages).toEqual(['asking the model', `keeping the answer: ${trouble.message}`]);
  });

  it('that another attempt has got while this one waited for its turn is scored: one call in all', async () => {
    service.faults = [{ times: 1, fault: { kind: 'slow', delayMs: 100 } }];
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const turns = new CallTurns(1, { limitMs: 60_000 });
    const outcomes = await Promise.all([1, 2].map(() => calibrateJob(request(job, { turns }), options)));
    expect(outcomes).toMatchObject([{ stage: 'processed' }, { stage: 'processed' }]);
    expect(service.calls()).toHaveLength(1);
    expect(world.faults()).toEqual([]);
  });

  it('of another wrapper is none', async () => {
    await world.put('incoming', first, { prompt });
    const job = await claim();
    await queue.storeAnswer(job, prompt, { wrapper: 'human', response: 'x', durationMs: 1, attempts: 1 });
    await calibrateJob(request(job), options);
    expect(service.calls()).toHaveLength(1);
  });
});

describe('a fault', () => {
  it('is noted, and tried again as its class allows; then the job is given up, unscored', async () => {
    service.faults = [
      { times: 1, fault: { kind: 'status', status: 503, detail: 'busy' } },
      { times: 2, fault: { kind: 'status', status: 504, detail: 'Gateway Time-out' } },
    ];
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const faults = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      const fault = await failure(calibrateJob(request(job), options));
      faults.push(fault);
      pass(fault.retryAfterMs ?? 0);
    }
    expect(faults).toMatchObject([
      { code: 'WRAPPER_OVERLOADED', retryable: true, retryAfterMs: 10 },
      { code: 'WRAPPER_TIMED_OUT', retryable: true, retryAfterMs: 1000 },
      { code: 'WRAPPER_TIMED_OUT', retryable: false },
    ]);
    expect(await giveUpJob({ queue, job, consumer, logs }, options)).toMatchObject({
      ...{ baseName: `${first}__retry1`, stage: 'error', score: null, reason: 'HTTPError: Server Error 504' },
    });
    expect(await giveUpJob({ queue, job, consumer, logs }, options)).toMatchObject({ repeated: true });
    expect(world.metadata('error', `${first}__retry1`)).toMatchObject({
      ...{
        retry_count: 1,
        last_error: { error: 'HTTPError: Server Error 504', wrapper: 'sigma', worker_id: 'cron_sigma' },
      },
      tower: { faults: [{ detail: 'busy' }, { detail: 'Gateway Time-out' }, { detail: 'Gateway Time-out' }] },
    });
    const ended = world.metadata('error', `${first}__retry1`);
    expect((ended['last_error'] as { duration_ms: number }).duration_ms).toBeGreaterThan(0);
    expect(ended).not.toHaveProperty('syntex_result');
    expect(await queue.scoredJobs()).toEqual([]);
    expect(lines('data', 'syntex_calibrations.jsonl')).toMatchObject([
      { success: false, error: 'HTTPError: Server Error 503', response: null, retry_count: 0 },
      { success: false, error: 'HTTPError: Server Error 504', retry_count: 1 },
      { success: false, retry_count: 2 },
    ]);
    expect(readFileSync(world.path('cron', 'consumer_sigma_cron.log'), 'utf8')).toBe(
      `Processing: ${first}.txt\n   ❌ HTTPError: Server Error 504 → error/\n`,
    );
    expect(world.faults()).toEqual([]);
  });

  it('that cannot be noted yet is kept until it can: it counts, and says when the model is asked again', async () => {
    service.faults = [{ times: 1, fault: { kind: 'status', status: 504, detail: 'Gateway Time-out' } }];
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const note = queue.noteFault.bind(queue);
    queue.noteFault = () => {
      queue.noteFault = note;
      return Promise.reject(new TowerError('QUEUE_BUSY', 'others have its lock', { retryable: true }));
    };
    expect(await failure(calibrateJob(request(job), options))).toMatchObject({
      ...{ code: 'WRAPPER_TIMED_OUT', retryable: true, retryAfterMs: 1000 },
    });
    expect(await queue.claimed(job)).toMatchObject({ faults: [{ kind: 'WRAPPER_TIMED_OUT' }] });
  });

  it('that was noted by an attempt that failed afterwards counts once: a time-out is tried again, late', async () => {
    service.faults = [{ times: 1, fault: { kind: 'status', status: 504, detail: 'Gateway Time-out' } }];
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const note = queue.noteFault.bind(queue);
    queue.noteFault = async (...noted) => {
      queue.noteFault = note;
      await note(...noted);
      throw Object.assign(new Error('EIO: i/o error, fsync'), { syscall: 'fsync' });
    };
    expect(await failure(calibrateJob(request(job), options))).toMatchObject({ retryable: true, retryAfterMs: 1000 });
    expect((await queue.claimed(job)).faults).toHaveLength(1);
  });

  it('that was noted by an attempt that died decides all the same when the model is asked again', async () => {
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const fault = { kind: 'WRAPPER_TIMED_OUT', error: 'Timeout after 1800s', detail: 'no answer', durationMs: 1 };
    pass(0);
    await queue.noteFault(job, { ...fault, at: new Date().toISOString() });
    pass(400);
    expect(await failure(calibrateJob(request(job), options))).toMatchObject({
      ...{ code: 'WRAPPER_TIMED_OUT', message: 'the last call: no answer', retryable: true, retryAfterMs: 600 },
    });
    expect(service.calls()).toEqual([]);
    expect((await queue.claimed(job)).faults).toHaveLength(1);
    pass(600);
    expect(await calibrateJob(request(job), options)).toMatchObject({ stage: 'processed', score: 98 });
  });

  it('that was noted with the time that the service asked for holds to it also where the attempt died afterwards', async () => {
    const headers = { 'retry-after': '2' };
    service.faults = [{ times: 1, fault: { kind: 'status', status: 503, detail: 'busy', headers } }];
    await world.put('incoming', first, { prompt });
    const job = await claim();
    pass(0);
    expect(await failure(calibrateJob(request(job), options))).toMatchObject({ retryAfterMs: 2000 });
    pass(500);
    // What the first attempt has thrown is lost with its worker.
    const again = await failure(calibrateJob(request(job), options));
    expect(again).toMatchObject({ code: 'WRAPPER_OVERLOADED', retryable: true });
    expect(again.retryAfterMs).toBeGreaterThan(1000);
    expect(service.calls()).toHaveLength(1);
  });

  it('that was noted by an attempt that died, and is never tried again, is given up without a call', async () => {
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const fault = { kind: 'WRAPPER_REFUSED', error: 'HTTPError: 403 Client Error', detail: 'no', durationMs: 1 };
    await queue.noteFault(job, { ...fault, at: '2026-01-05T04:01:02.643Z' });
    expect(await failure(calibrateJob(request(job), options))).toMatchObject({
      ...{ code: 'WRAPPER_REFUSED', retryable: false },
    });
    expect(service.calls()).toEqual([]);
  });

  it('that passes leaves a score', async () => {
    service.faults = [{ times: 1, fault: { kind: 'reset' } }];
    await world.put('incoming', first, { prompt });
    const job = await claim();
    expect(await failure(calibrateJob(request(job), options))).toMatchObject({ code: 'WRAPPER_UNREACHABLE' });
    pass(10);
    expect(await calibrateJob(request(job), options)).toMatchObject({ stage: 'processed', score: 98 });
    expect(world.metadata('processed', first)).toMatchObject({ tower: { faults: [{ kind: 'WRAPPER_UNREACHABLE' }] } });
  });

  it('of the wrong wrapper never becomes a score', async () => {
    await world.put('incoming', first, { prompt });
    const job = await claim();
    const mistyped = { ...consumer, wrapper: 'sgima' };
    expect(await failure(calibrateJob(request(job, { consumer: mistyped }), options))).toMatchObject({
      ...{ code: 'WRAPPER_MISMATCH', retryable: false },
    });
    expect(await giveUpJob({ queue, job, consumer: mistyped, logs }, options)).toMatchObject({
      reason: expect.stringMatching(/^asked for syntex_wrapper_sgima/) as string,
    });
    // As the original writes an exception (contract syntx 1.3, 3.1), and without a score for any reader.
    const metadata = world.metadata('error', `${first}__retry1`);
    expect(Object.entries(metadata['last_error'] as object)).toEqual([
      ['error', expect.stringMatching(/^asked for syntex_wrapper_sgima/)],
      ['exception_type', 'WrapperNotFoundError'],
      ['worker_id', 'cron_sigma'],
    ]);
    expect(metadata).not.toHaveProperty('syntex_result');
    expect(await queue.scoredJobs()).toEqual([]);
  });

  it('of a run whose job was taken back changes nothing', async () => {
    await world.put('incoming', first, { prompt });
    const job = await claim();
    await queue.takeBack({ isOpen: () => Promise.resolve(false), foreignAfterMs: 60_000 });
    expect(await failure(calibrateJob(request(job), options))).toMatchObject({ code: 'LEASE_LOST' });
    expect(await failure(giveUpJob({ queue, job, consumer, logs }, options))).toMatchObject({ code: 'LEASE_LOST' });
    expect(service.calls()).toEqual([]);
    expect(world.names('incoming')).toHaveLength(2);
  });
});
