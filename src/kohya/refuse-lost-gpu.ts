import { TowerError } from '../errors.js';
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
  // Only a GPU that Tower had found can be lost: without `nvidia-smi` an older Tower let sd-scripts take one all the same.
  const plan = await readJsonIfExists(kohyaRunFiles(run.runDirectory).plan, kohyaPlanSchema);
  if (plan?.device !== 'cuda') return;
  const { device } = (await newestStart(run.runDirectory, driver))?.facts ?? {};
  if (typeof device !== 'string' || !device.startsWith('cuda')) return;
  throw new TowerError('GPU_LOST', `The training of ${run.runId} ran on ${device}, and now no GPU is found`, {
    ...{ retryable: true, retryAfterMs: 60_000 },
    next: 'Bring its driver back (`nvidia-smi` must list it); to train on the CPU, begin a new run.',
  });
}
