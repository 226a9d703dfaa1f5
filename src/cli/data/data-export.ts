import { resolve } from 'node:path';

import { trainingSetOptions } from '../../activities/training-set-options.js';
import { buildTrainingSet } from '../../signz-mind/training-set/build-training-set.js';
import type { TrainingSetFormat } from '../../signz-mind/training-set/options.js';
import type { CommandContext } from '../command-context.js';
import { readLedger } from './read-ledger.js';

/** @throws TowerError `NO_TRAINING_DATA` */
export async function exportTrainingSet(
  context: CommandContext,
  folder: string,
  format: TrainingSetFormat | undefined,
): Promise<void> {
  const options = trainingSetOptions(context.config);
  const set = await readLedger(context, (ledger) =>
    buildTrainingSet(
      {
        ledger,
        directory: resolve(folder),
        ...options,
        format: format ?? options.format,
        recordsRows: false,
      },
      { signal: new AbortController().signal },
    ),
  );
  const { trainPath, heldOutPath, trainSamples, heldOutSamples, sha256 } = set;
  context.output.result(
    { trainPath, heldOutPath, trainSamples, heldOutSamples, sha256, batches: set.batches.size },
    `${trainSamples} samples in ${trainPath}\n${heldOutSamples} held out in ${heldOutPath}\nsha256 ${sha256}, from ${set.batches.size} batches`,
  );
}
