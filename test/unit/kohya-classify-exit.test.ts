import { expect, it } from 'vitest';

import { classifyExit } from '../../src/kohya/classify-exit.js';
import type { TrainerEvent } from '../../src/training/trainer-events.js';

const traceback = (lastLine: string) =>
  `Traceback (most recent call last):\n  File "train_network.py", line 1908\n${lastLine}\n`;
const done: TrainerEvent = { event: 'done', time: '2026-01-01T00:00:00Z', step: 1, trainLoss: 1 };

/** Last lines as sd-scripts and its libraries printed them. */
it.each([
  ['torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB', 'out-of-memory'],
  ["RuntimeError: [enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory", 'out-of-memory'],
  ['RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`', 'out-of-memory'],
  ['torch.AcceleratorError: CUDA error: out of memory', 'out-of-memory'],
  ['RuntimeError: CUDA driver error: out of memory', 'out-of-memory'],
  ['RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED', 'out-of-memory'],
  ['Error out of memory at line 380 of file /src/csrc/pythonInterface.cpp', 'out-of-memory'],
  ['OSError: [Errno 28] No space left on device', 'disk-full'],
  ['AssertionError: caption file is empty / キャプションファイルが空です: /data/a.txt', 'bad-dataset'],
  ['ZeroDivisionError: division by zero', 'bad-dataset'],
  [
    'ValueError: The provided pretrained_model_name_or_path "/m.ckpt" is neither a valid local path nor a valid repo id. Please check',
    'missing-model',
  ],
  ["OSError: Can't load tokenizer for 'openai/clip-vit-large-patch14'.", 'missing-model'],
  [
    "ModuleNotFoundError: No module named 'xformers'\nImportError: No xformers / xformersがインストールされていないようです",
    'bad-config',
  ],
  [
    'with open(vocab_file, encoding="utf-8") as vocab_handle:\nTypeError: expected str, bytes or os.PathLike object, not NoneType',
    'missing-model',
  ],
  ['RuntimeError: expected m1 and m2 to have the same dtype, but got: c10::Half != float', 'bad-config'],
  ['RuntimeError: Input type (float) and bias type (c10::Half) should be the same', 'bad-config'],
  ["RuntimeError: shape '[-1, 8192]' is invalid for input of size 77", 'bad-config'],
  ["ValueError: 'cosinus' is not a valid SchedulerType, please select one of", 'bad-config'],
  ['ValueError: constant does not require `num_warmup_steps`. Set None or 0.', 'bad-config'],
  ["voluptuous.error.MultipleInvalid: extra keys not allowed @ data['datasets'][0]['x']", 'bad-config'],
  ["AttributeError: module 'torch.optim' has no attribute 'NoSuchOptimizer'", 'bad-config'],
  ['RuntimeError: something nobody has seen', 'internal'],
] as const)('%s: %s', (lastLine, faultClass) => {
  expect(classifyExit({ code: 1 }, [], traceback(lastLine))).toBe(faultClass);
});

it('an end without traceback is told by code, signal and last line', () => {
  expect(classifyExit({ code: 0 }, [], 'No data found. Please verify arguments (train_data_dir must')).toBe(
    'bad-dataset',
  );
  expect(classifyExit({ code: 1 }, [], '/run/config.json.toml not found.')).toBe('bad-config');
  expect(classifyExit({ code: 2 }, [], 'train_network.py: error: unrecognized arguments: --x')).toBe('bad-config');
  expect(classifyExit({ signal: 'SIGKILL' }, [], '')).toBe('killed');
  expect(classifyExit({ signal: 'SIGSEGV' }, [], '')).toBe('internal');
  expect(classifyExit({ code: 143 }, [], '')).toBe('killed');
  expect(classifyExit({}, [], '')).toBe('killed');
});

it('what it said before its last traceback does not count, and a model that is no good is not trained twice', () => {
  const handled = `${traceback('ZeroDivisionError: division by zero')}going on\n${traceback('KeyError: 1')}`;
  expect(classifyExit({ code: 1 }, [], handled)).toBe('internal');
  expect(classifyExit({ code: 0 }, [done], 'model saved.')).toBe('diverged');
});
