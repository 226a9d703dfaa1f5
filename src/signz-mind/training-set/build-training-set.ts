import { TowerError } from '../../errors.js';
import type { ServiceOptions } from '../../service-options.js';
import { JobThread } from '../../threads/job-thread.js';
import type { Ledger } from '../ledger/ledger.js';
import type { TrainingSetOptions } from './options.js';
import type { TrainingSetJob } from './training-set-program.js';
import type { TrainingSetFiles, WrittenTrainingSet } from './write-training-set.js';

export interface TrainingSetInput extends TrainingSetOptions {
  readonly ledger: Ledger;
  /** Gets `train.jsonl` and `heldout.jsonl`. */
  readonly directory: string;
  /** Whether the ledger notes how many rows each batch gave. Default `true`; a look at the set changes nothing. */
  readonly recordsRows?: boolean;
}

export interface TrainingSet extends TrainingSetFiles {
  /** Batch id → rows that the set took from it, both sides. */
  readonly batches: ReadonlyMap<number, number>;
}

/** There is nothing to learn from. Not retryable: new data is needed. */
export class NoTrainingDataError extends TowerError {
  constructor() {
    super('NO_TRAINING_DATA', 'No training samples: no row in the ledger fits `data` of the configuration', {
      next: 'Upload batches whose snippets have the label of `data.snippetQualityLabel`.',
    });
  }
}

const thread = new JobThread<TrainingSetJob, WrittenTrainingSet>({
  name: 'training set',
  program: 'signz-mind/training-set/training-set-program',
});

/**
 * Builds the training set from all rows of the ledger that teach: JSON lines `{prompt?, completion}`, in a fixed order,
 * the same bytes for the same rows. No source file is on both sides, and no held-out sample is also a training sample.
 * `editor` removes repeated samples; `original` keeps them, as the original does. Rows are read, sorted and written in a
 * thread, so that heartbeats go on.
 *
 * Also notes in the ledger how many rows each batch gave, unless told not to; batches that gave none are settled by that.
 *
 * @throws NoTrainingDataError
 */
export async function buildTrainingSet(
  { ledger, recordsRows = true, ...set }: TrainingSetInput,
  { signal }: Pick<ServiceOptions, 'signal'>,
): Promise<TrainingSet> {
  const { files, batches } = await thread.run({ ledgerPath: ledger.path, set }, { signal });
  if (recordsRows) await ledger.batches.recordTrainingRows(batches);
  if (files === undefined) throw new NoTrainingDataError();
  return { ...files, batches };
}
