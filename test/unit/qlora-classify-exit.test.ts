import { expect, test } from 'vitest';

import { classifyExit } from '../../src/qlora/classify-exit.js';
import type { TrainerEvent } from '../../src/training/trainer-events.js';

const diverged: TrainerEvent = {
  event: 'error',
  time: '2026-01-01T00:00:00.000Z',
  class: 'diverged',
  message: 'the loss of step 3 is nan',
};

test('the trainer’s own error event wins', () => {
  expect(classifyExit({ code: 1 }, [diverged], 'CUDA out of memory')).toBe('diverged');
});

test.each([
  [{ code: 20 }, '', 'bad-config'],
  [{ code: 23 }, '', 'out-of-memory'],
  [{ code: 1 }, 'torch.OutOfMemoryError: CUDA out of memory', 'out-of-memory'],
  [{ code: 1 }, 'OSError: [Errno 28] No space left on device', 'disk-full'],
  [{ signal: 'SIGABRT' }, 'terminate called: CUDA error: out of memory', 'out-of-memory'],
  [{ code: 1 }, 'Traceback …', 'internal'],
  [{ code: 0 }, '', 'internal'],
  [{ signal: 'SIGSEGV' }, '', 'internal'],
  [{ signal: 'SIGKILL' }, '', 'killed'],
  [{ code: 143 }, '', 'killed'],
  [{}, '', 'killed'],
] as const)('%j with output %j is %s', (exit, tail, expected) => {
  expect(classifyExit(exit, [], tail)).toBe(expected);
});
