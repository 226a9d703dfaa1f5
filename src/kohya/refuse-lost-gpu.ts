import { readFile } from 'node:fs/promises';

import { parse } from 'smol-toml';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { TrainerDriver } from '../training/trainer-driver.js';
import { newestStart } from './checkpoints.js';
import type { KohyaOrder } from './order.js';
import { kohyaPlanSchema, kohyaRunFiles } from './run-files.js';

/**
 * A training that ran on a GPU is not resumed on the CPU, where it would take weeks and calculate otherwise: the driver of the GPU
 * may be gone for a while only.
 *
 * @throws TowerError `GPU_LOST` (retryable)
 */
export async function refuseLostGpu(
  { run, trainer }: KohyaOrder,
  driver: Pick<TrainerDriver, 'createParser'>,
): Promise<void> {
  if (trainer.simulated || trainer.device === 'cuda') return;
  if (!(await hadFoundGpu(run))) return;
  const { device } = (await newestStart(run.runDirectory, driver))?.facts ?? {};
  if (typeof device !== 'string' || !device.startsWith('cuda')) return;
  throw new TowerError('GPU_LOST', `The training of ${run.runId} ran on ${device}, and now no GPU is found`, {
    ...{ retryable: true, retryAfterMs: 60_000 },
    next: 'Bring its driver back (`nvidia-smi` must list it); to train on the CPU, begin a new run.',
  });
}

/** Only a GPU that Tower had found can be lost: where `nvidia-smi` is not found sd-scripts may have taken one all the same. */
async function hadFoundGpu({ runDirectory, options }: KohyaOrder['run']): Promise<boolean> {
  const files = kohyaRunFiles(runDirectory);
  const plan = await readJsonIfExists(files.plan, kohyaPlanSchema);
  if (plan?.device !== undefined) return plan.device === 'cuda';
  // An older Tower did not say; where the precision was its choice, any but `no` was that of a GPU.
  const config = await readFile(files.config(0), 'utf8').catch(undefinedIfAbsent);
  return config !== undefined && options.mixed_precision === 'auto' && parse(config)['mixed_precision'] !== 'no';
}
