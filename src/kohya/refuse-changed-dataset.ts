import { TowerError } from '../errors.js';
import { readJsonIfExists } from '../files/read-json.js';
import type { TrainerDriver } from '../training/trainer-driver.js';
import type { DatasetCheck } from './check-dataset.js';
import { newestStart } from './checkpoints.js';
import type { KohyaRun } from './order.js';
import { kohyaPlanSchema, kohyaRunFiles } from './run-files.js';

/**
 * A training that has begun goes on with as many images as it began with: the steps of an epoch follow from them, so with others its
 * launches would never add up to the planned steps.
 *
 * @throws TowerError `DATASET_CHANGED`
 */
export async function refuseChangedDataset(
  { runId, runDirectory, images }: Pick<KohyaRun, 'runId' | 'runDirectory' | 'images'>,
  check: DatasetCheck,
  driver: Pick<TrainerDriver, 'createParser'>,
): Promise<void> {
  const plan = await readJsonIfExists(kohyaRunFiles(runDirectory).plan, kohyaPlanSchema);
  if (plan === undefined) return;
  const [before, now] = [describe(plan), describe(check)];
  if (before === now || (await newestStart(runDirectory, driver)) === undefined) return;
  throw new TowerError(
    'DATASET_CHANGED',
    `The training of ${runId} began with ${before}, now ${images} holds ${now}: its steps would not add up`,
    {
      next: 'Put the images back as they were and let the run go on, or train them as they are as a new run (`tower character train --dataset`).',
      details: { folder: images, before, now },
    },
  );
}

/** `40 images (38 of 768×1152, 2 of 512×512)`, in an order of its own. */
function describe({ images, sizes }: Pick<DatasetCheck, 'images' | 'sizes'>): string {
  const parts = sizes.map(({ width, height, images: count }) => `${count} of ${width}×${height}`).sort();
  return `${images} images (${parts.join(', ')})`;
}
