import { expect, test } from 'vitest';

import type { FaultClass } from '../../src/training/fault-class.js';
import { exhaustedClass, memoryRung, retriesLeft, TrainerFailedError } from '../../src/training/fault-policy.js';

function history(faults: [FaultClass, number, number?][], rungs = 3, generation = 0) {
  return {
    faults: faults.flatMap(([faultClass, count, inGeneration = 0]) =>
      Array.from({ length: count }, () => ({ class: faultClass, generation: inGeneration })),
    ),
    generation,
    rungs,
  };
}

test.each<[FaultClass, number]>([
  ['killed', 20],
  ['stalled', 3],
  ['internal', 2],
  ['disk-full', 10],
  ['out-of-memory', 3],
  ['bad-config', 0],
  ['bad-dataset', 0],
  ['missing-model', 0],
  ['diverged', 0],
])('%s allows %i more starts', (faultClass, budget) => {
  expect(retriesLeft(faultClass, history([[faultClass, budget]]))).toBe(0);
  expect(exhaustedClass(history([[faultClass, budget]]))).toBeUndefined();
  expect(exhaustedClass(history([[faultClass, budget + 1]]))).toBe(faultClass);
});

test('budgets of one class do not eat those of another, and a resume opens new ones', () => {
  expect(
    exhaustedClass(
      history([
        ['killed', 20],
        ['internal', 2],
        ['stalled', 3],
      ]),
    ),
  ).toBeUndefined();
  expect(exhaustedClass(history([['internal', 3]], 3, 1))).toBeUndefined();
});

test('the memory ladder is walked down across generations, one rung per fault, and never up', () => {
  expect(memoryRung(history([]))).toBe(0);
  expect(memoryRung(history([['out-of-memory', 2]]))).toBe(2);
  expect(memoryRung(history([['out-of-memory', 4]], 3, 1))).toBe(3);
  // After a person's resume the last rung may be tried once more, not the whole ladder.
  const resumed = history(
    [
      ['out-of-memory', 4, 0],
      ['out-of-memory', 1, 1],
    ],
    3,
    1,
  );
  expect(exhaustedClass(resumed)).toBe('out-of-memory');
});

test('the error names the class in its code, and what comes next', () => {
  const first = new TrainerFailedError('r', 'disk-full', 'no space', history([['disk-full', 1]]));
  expect(first).toMatchObject({ code: 'TRAINER_DISK_FULL', retryable: true, retryAfterMs: 60_000 });
  const last = new TrainerFailedError('r', 'out-of-memory', 'CUDA', history([['out-of-memory', 4]]));
  expect(last).toMatchObject({ code: 'TRAINER_OUT_OF_MEMORY', retryable: false, retryAfterMs: undefined });
  expect(last.next).toContain('batch size');
});
