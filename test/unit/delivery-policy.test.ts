import { expect, it } from 'vitest';

import { deliveryPolicy } from '../../src/workflows/policies.js';

const hourMs = 3_600_000;
const milliseconds = { second: 1_000, seconds: 1_000, minute: 60_000, minutes: 60_000 } as const;

it('a server that is away for six hours is asked again all the time, and within ten minutes of its return', () => {
  const { retry, scheduleToCloseTimeout } = deliveryPolicy({ hostQueue: 'gpu-box', heartbeatTimeoutMs: 20_000 });

  // Nothing ends a delivery but its success: the workflow itself has no timeout (test/server/late-delivery.test.ts).
  expect(scheduleToCloseTimeout).toBeUndefined();
  expect(retry?.maximumAttempts).toBeUndefined();
  const attempts = [0];
  const longest = duration(retry?.maximumInterval);
  for (let wait = duration(retry?.initialInterval); (attempts.at(-1) ?? 0) <= 6 * hourMs;) {
    attempts.push((attempts.at(-1) ?? 0) + wait);
    wait = Math.min(longest, wait * (retry?.backoffCoefficient ?? 2));
  }
  const afterReturn = (attempts.at(-1) ?? 0) - 6 * hourMs;
  expect(afterReturn).toBeLessThanOrEqual(10 * 60_000);
  expect(attempts.length).toBeLessThan(60);
});

function duration(text: unknown): number {
  const [, amount, unit] = /^(\d+) (seconds?|minutes?)$/.exec(String(text)) ?? [];
  if (amount === undefined) throw new Error(`expected a duration such as "10 minutes", found ${String(text)}`);
  return Number(amount) * milliseconds[unit as keyof typeof milliseconds];
}
