import { join } from 'node:path';

import { execa } from 'execa';

import { TowerError } from '../errors.js';
import { packageRoot } from '../files/package-root.js';

/**
 * Makes a tiny Llama with random weights and a tokenizer of its own, for the demo and tests. The same bytes every time.
 *
 * @param python interpreter of the trainer's environment.
 * @throws TowerError `TINY_MODEL_FAILED`
 */
export async function makeTinyModel(
  directory: string,
  { python, signal }: { python: string; signal: AbortSignal },
): Promise<void> {
  const cwd = join(packageRoot, 'trainers');
  const env = { PYTHONPATH: cwd, PYTHONDONTWRITEBYTECODE: '1' };
  const result = await execa(python, ['-m', 'qlora.tiny_model', directory], {
    cwd,
    env,
    cancelSignal: signal,
    reject: false,
  });
  signal.throwIfAborted();
  if (result.failed) {
    throw new TowerError('TINY_MODEL_FAILED', `the tiny model could not be made: ${result.stderr.slice(-1000)}`, {
      next: 'Run `tower trainer install --device cpu`.',
    });
  }
}
