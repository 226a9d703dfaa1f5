import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';

import { TowerError } from '../../errors.js';
import { namingFullDisk } from '../../files/disk-full.js';
import { sha256Of } from '../../files/sha256.js';
import type { SqliteDatabase } from '../ledger/database.js';
import type { Ledger } from '../ledger/ledger.js';
import { DatasetFile } from './dataset-file.js';
import { editorSamples } from './editor-samples.js';
import { heldOutFiles } from './held-out.js';
import type { Sample, TrainingSetOptions } from './options.js';
import { originalSamples } from './original-samples.js';
import { trainingRows, type TrainingRow } from './training-rows.js';

export interface TrainingSetInput extends TrainingSetOptions {
  readonly ledger: Ledger;
  /** Gets `train.jsonl` and `heldout.jsonl`. */
  readonly directory: string;
  readonly signal?: AbortSignal;
  /** Whether the ledger notes how many rows each batch gave. Default `true`; a look at the set changes nothing. */
  readonly recordsRows?: boolean;
}

export interface TrainingSet {
  readonly trainPath: string;
  /** There also when it is empty. */
  readonly heldOutPath: string;
  readonly trainSamples: number;
  readonly heldOutSamples: number;
  /** Of both files together: changes exactly when one of them changes. */
  readonly sha256: string;
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

const defaultMaxSampleCharacters = 3000;

/**
 * Builds the training set from all rows of the ledger that teach: JSON lines `{prompt?, completion}`, in a fixed order,
 * the same bytes for the same rows. No source file is on both sides, and no held-out sample is also a training sample.
 * `editor` removes repeated samples; `original` keeps them, as the original does.
 *
 * Also notes in the ledger how many rows each batch gave, unless told not to; batches that gave none are settled by that.
 *
 * @throws NoTrainingDataError
 */
export async function buildTrainingSet(input: TrainingSetInput): Promise<TrainingSet> {
  const snapshot = input.ledger.openSnapshot();
  try {
    const survey = await surveyRows(snapshot, input);
    if (input.recordsRows !== false) await input.ledger.batches.recordTrainingRows(survey.batches);
    if (survey.files.size === 0) throw new NoTrainingDataError();
    const heldOut = heldOutFiles(survey.files, input.heldOutShare);
    const seen = new Set<string>();

    const write = (side: Omit<Side, 'seen'>) =>
      namingFullDisk(join(input.directory, side.file), () => writeSide(snapshot, input, { ...side, seen }));
    const train = await write({ file: 'train.jsonl', takes: (key) => !heldOut.has(key) });
    const rest = await write({ file: 'heldout.jsonl', takes: (key) => heldOut.has(key) });
    return {
      trainPath: train.path,
      heldOutPath: rest.path,
      trainSamples: train.samples,
      heldOutSamples: rest.samples,
      sha256: sha256Of(`${train.sha256}\n${rest.sha256}\n`),
      batches: survey.batches,
    };
  } finally {
    snapshot.close();
  }
}

interface Survey {
  readonly files: ReadonlySet<string>;
  readonly batches: ReadonlyMap<number, number>;
}

async function surveyRows(snapshot: SqliteDatabase, input: TrainingSetInput): Promise<Survey> {
  const files = new Set<string>();
  const batches = new Map<number, number>();
  for await (const { row, samples } of samplesOf(snapshot, input)) {
    if (samples.length === 0) continue;
    files.add(row.fileKey);
    batches.set(row.batchId, (batches.get(row.batchId) ?? 0) + 1);
  }
  return { files, batches };
}

interface Side {
  readonly file: string;
  /** Hashes of the samples written so far, over both sides. */
  readonly seen: Set<string>;
  readonly takes: (fileKey: string) => boolean;
}

async function writeSide(
  snapshot: SqliteDatabase,
  input: TrainingSetInput,
  side: Side,
): Promise<{ path: string; samples: number; sha256: string }> {
  const path = join(input.directory, side.file);
  const keepsRepeats = input.format === 'original' && side.file === 'train.jsonl';
  const file = await DatasetFile.create(path);
  try {
    for await (const { row, samples } of samplesOf(snapshot, input)) {
      if (!side.takes(row.fileKey)) continue;
      for (const sample of samples) {
        const key = hashOf(sample);
        if (side.seen.has(key) && !keepsRepeats) continue;
        side.seen.add(key);
        await file.write(sample);
      }
    }
    return { path, samples: file.samples, sha256: await file.publish() };
  } finally {
    await file.discard();
  }
}

async function* samplesOf(
  snapshot: SqliteDatabase,
  input: TrainingSetInput,
): AsyncGenerator<{ row: TrainingRow; samples: Sample[] }> {
  const limit = input.maxSampleCharacters ?? defaultMaxSampleCharacters;
  let sliceStart = performance.now();
  for (const row of trainingRows(snapshot, input)) {
    yield { row, samples: input.format === 'original' ? originalSamples(row) : editorSamples(row, limit) };
    if (performance.now() - sliceStart > 20) {
      input.signal?.throwIfAborted();
      await setImmediate();
      sliceStart = performance.now();
    }
  }
}

function hashOf({ prompt, completion }: Sample): string {
  return createHash('sha256')
    .update(JSON.stringify([prompt, completion]))
    .digest('base64');
}
