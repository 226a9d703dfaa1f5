import { expect, it } from 'vitest';

import { longestGenerationMs, patienceMs } from '../../src/syntx/generation/time-limits.js';
import { calibrationPolicy, generationPolicy } from '../../src/workflows/prompt-policies.js';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function limitMs(generationLimitMs?: number): number {
  const policy = generationPolicy({ heartbeatTimeoutMs: 20_000, generationLimitMs });
  expect(policy.startToCloseTimeout).toBe(policy.scheduleToCloseTimeout);
  return Number(policy.scheduleToCloseTimeout);
}

const limitOf = (make: number, parallelism: number, timeoutSeconds: number) =>
  limitMs(longestGenerationMs(make, { parallelism, timeoutSeconds }));

it('many prompts of a slow model have the time that their calls may take, also after a wait for the endpoint', () => {
  // 500 prompts, four at a time, of 45 s each: 94 minutes without a single repeated call.
  expect(limitOf(500, 4, 45)).toBeGreaterThan(patienceMs + (500 / 4) * 2 * 45_000);
  expect(limitOf(60, 1, 120)).toBeGreaterThan(patienceMs + 60 * 2 * 120_000);
});

it('every run has the time to give up its endpoint by itself, and none has more than 20 hours', () => {
  for (const seconds of [1, 45, 3600]) expect(limitOf(1, 4, seconds)).toBeGreaterThan(patienceMs + seconds * 1000);
  expect(limitOf(500, 1, 3600)).toBe(20 * hourMs);
});

it('a run that began before its limit was told has the longest one, and gives up by itself', () => {
  expect(limitMs()).toBe(20 * hourMs);
});

it('prompts of a model on this host’s GPU wait at that GPU with the lowest priority, others nowhere', () => {
  const plan = {
    ...{ batch: 20, parallel: 1, stopAfterFaults: 3, takenBack: 0 },
    ...{ attemptLimitMs: 1_860_000, heartbeatTimeoutMs: 20_000 },
  };
  const onGpu = calibrationPolicy({ ...plan, gpu: { queue: 'gpu-box-0', index: 0 } }, 'a prompt');
  expect(onGpu).toMatchObject({ taskQueue: 'gpu-box-0', priority: { priorityKey: 5 } });
  const elsewhere = calibrationPolicy({ ...plan, gpu: null }, 'a prompt');
  expect(elsewhere).not.toHaveProperty('taskQueue');
  expect(elsewhere).not.toHaveProperty('priority');
});
