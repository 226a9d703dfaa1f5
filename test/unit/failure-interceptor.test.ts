import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { pino } from 'pino';
import { expect, it } from 'vitest';

import { FailureInterceptor } from '../../src/activities/failure-interceptor.js';
import { withHeartbeat } from '../../src/activities/heartbeat.js';
import { TowerError } from '../../src/errors.js';
import { GpuBusyError } from '../../src/gpu/launch-errors.js';
import { waitUntil } from '../support/wait-until.js';

const key = 'k3y-of-the-server';

/** What Temporal would record of an activity that throws this. @param lines - Takes what is logged, as JSON. */
async function failureOf(thrown: unknown, lines: string[] = []): Promise<unknown> {
  const environment = new MockActivityEnvironment({ activityType: 'uploadAdapter' });
  const interceptor = new FailureInterceptor(environment.context, {
    log: pino({}, { write: (line: string) => lines.push(line) }),
    redact: (text) => text.replaceAll(key, '[secret]'),
  });
  const input = { args: [], headers: {} };
  return interceptor.execute(input, () => Promise.reject(thrown as Error)).catch((error: unknown) => error);
}

it('turns an error of a service into a failure with its code, next step and retry decision', async () => {
  const failure = await failureOf(
    new TowerError('GPU_BUSY', 'the GPU is held by run a', { retryable: true, retryAfterMs: 15_000, next: 'Wait.' }),
  );

  expect(failure).toBeInstanceOf(ApplicationFailure);
  expect(failure).toMatchObject({
    type: 'GPU_BUSY',
    nonRetryable: false,
    nextRetryDelay: 15_000,
    message: 'the GPU is held by run a Next: Wait.',
    details: [{ code: 'GPU_BUSY', next: 'Wait.' }],
  });
});

const transient = { retryable: true } as const;

it.each([
  { thrown: new TowerError('GPU_BUSY', 'another run holds it', transient), benign: true },
  { thrown: new TowerError('GPU_GIVEN_BACK', 'it made way', transient), benign: true },
  { thrown: new GpuBusyError('/gpu-0.lock', { holder: null }), benign: true },
  { thrown: new TowerError('GPU_STILL_LOCKED', 'members of its group live', transient), benign: false },
  { thrown: new TowerError('LOCK_FAILED', 'the lock cannot be taken', transient), benign: false },
  { thrown: new TowerError('VRAM_NOT_FREED', 'a tenant keeps it', transient), benign: false },
  { thrown: new TowerError('DISK_FULL', 'no room', transient), benign: false },
  { thrown: new TowerError('gpu_busy', 'another code', transient), benign: false },
  { thrown: Object.assign(new Error('of no service'), { code: 'GPU_BUSY' }), benign: false },
])(
  '$thrown.code of $thrown.name: waiting for the GPU is benign ($benign), all else a failure',
  async ({ thrown, benign }) => {
    const lines: string[] = [];
    expect(await failureOf(thrown, lines)).toMatchObject({ category: benign ? 'BENIGN' : undefined });
    const logged = lines.map((line) => JSON.parse(line) as { readonly level: number; readonly msg: string });
    // Levels of pino: 30 is info, 50 error.
    expect(logged.map(({ level, msg }) => [level, msg])).toEqual([
      [30, 'activity started'],
      benign ? [30, 'activity waits for the GPU'] : [50, 'activity failed'],
    ]);
  },
);

it('does not retry what cannot succeed', async () => {
  expect(await failureOf(new TowerError('BAD_CONFIG', 'no such model'))).toMatchObject({ nonRetryable: true });
});

it('keeps secrets out of history, in causes and next steps too', async () => {
  const cause = new Error(`401 for X-API-Key ${key}`);
  const failure = await failureOf(
    new TowerError('SERVER_FAILED', 'the upload failed', { cause, next: `Change ${key}.` }),
  );

  expect(JSON.stringify(failure)).not.toContain(key);
  expect((failure as Error).message).toContain('401 for X-API-Key [secret]');
});

it('leaves an unknown error retryable, under its own name, with its causes', async () => {
  const error = Object.assign(new Error('write failed', { cause: new Error('disk') }), { code: 'EIO' });

  expect(await failureOf(error)).toMatchObject({
    type: 'EIO',
    nonRetryable: false,
    message: 'write failed (cause: disk)',
  });
});

it('passes a cancellation through as it is', async () => {
  const aborted = Object.assign(new Error('aborted'), { name: 'AbortError' });

  expect(await failureOf(aborted)).toBe(aborted);
});

it('cuts a message that history should not carry', async () => {
  const failure = await failureOf(new TowerError('TRAINER_INTERNAL', 'x'.repeat(100_000)));

  expect((failure as Error).message.length).toBeLessThanOrEqual(2_100);
});

it('heartbeats on a timer with the newest progress, and stops with the work', async () => {
  const environment = new MockActivityEnvironment();
  const beats: unknown[] = [];
  environment.on('heartbeat', (details: unknown) => beats.push(details));

  await environment.run(() =>
    withHeartbeat<{ step: number }, void>(environment.context, 5, async (report) => {
      report({ step: 1 });
      await waitUntil('a heartbeat with the progress', () =>
        beats.some((beat) => JSON.stringify(beat) === '{"step":1}'),
      );
      report({ step: 2 });
      await waitUntil('a heartbeat with newer progress', () => JSON.stringify(beats.at(-1)) === '{"step":2}');
    }),
  );
  const count = beats.length;
  await new Promise((resolve) => setTimeout(resolve, 30));

  expect(beats.length).toBe(count);
});
