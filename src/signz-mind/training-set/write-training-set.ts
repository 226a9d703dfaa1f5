import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { namingFullDisk } from '../../files/disk-full.js';
import { sha256Of } from '../../files/sha256.js';
import { WorkSlices } from '../../work-slices.js';
import type { SqliteDatabase } from '../ledger/database.js';
import { DatasetFile } from './dataset-file.js';
import { editorSamples } from './editor-samples.js';
import { heldOutFiles } from './held-out.js';
import type { Sample, TrainingSetOptions } from './options.js';
import { originalSamples } from './original-samples.js';
import { trainingRows, type TrainingRow } from './training-rows.js';

export interface TrainingSetTarget extends TrainingSetOptions {
  /** Gets `train.jsonl` and `heldout.jsonl`. */
  readonly directory: string;
}

export interface TrainingSetFiles {
  readonly trainPath: string;
  /** There also when it is empty. */
  readonly heldOutPath: string;
  readonly trainSamples: number;
  readonly heldOutSamples: number;
  /** Of both files together: changes exactly when one of them changes. */
  readonly sha256: string;
}

export interface WrittenTrainingSet {
  /** `undefined`: no row teaches. */
  readonly files: TrainingSetFiles | undefined;
  /** Batch id → rows that the set took from it, both sides. */
  readonly batches: ReadonlyMap<number, number>;
}

const defaultMaxSampleCharacters = 3000;

/** Writes the training set of one state of the ledger (see `buildTrainingSet`). */
export async function writeTrainingSet(
  snapshot: SqliteDatabase,
  target: TrainingSetTarget,
  signal: AbortSignal,
): Promise<WrittenTrainingSet> {
  const rows = () => samplesOf(snapshot, target, signal);
  const sources = new Set<string>();
  const batches = new Map<number, number>();
  for await (const { row, samples } of rows()) {
    if (samples.length === 0) continue;
    sources.add(row.fileKey);
    batches.set(row.batchId, (batches.get(row.batchId) ?? 0) + 1);
  }
  if (sources.size === 0) return { files: undefined, batches };

  const heldOut = heldOutFiles(sources, target.heldOutShare);
  // Hashes of the samples written so far, over both sides.
  const seen = new Set<string>();
  const write = (side: Side) => {
    const path = join(target.directory, side.file);
    return namingFullDisk(path, () => writeSide(path, rows(), { ...side, seen }));
  };
  const train = await write({
    file: 'train.jsonl',
    takes: (source) => !heldOut.has(source),
    keepsRepeats: target.format === 'original',
  });
  const rest = await write({ file: 'heldout.jsonl', takes: (source) => heldOut.has(source), keepsRepeats: false });
  const files = {
    trainPath: train.path,
    heldOutPath: rest.path,
    trainSamples: train.samples,
    heldOutSamples: rest.samples,
    sha256: sha256Of(`${train.sha256}\n${rest.sha256}\n`),
  };
  return { files, batches };
}

interface Side {
  readonly file: string;
  readonly takes: (fileKey: string) => boolean;
  readonly keepsRepeats: boolean;
}

type Rows = AsyncIterable<{ readonly row: TrainingRow; readonly samples: readonly Sample[] }>;

async function writeSide(
  path: string,
  rows: Rows,
  { takes, keepsRepeats, seen }: Side & { readonly seen: Set<string> },
): Promise<{ path: string; samples: number; sha256: string }> {
  const file = await DatasetFile.create(path);
  try {
    for await (const { row, samples } of rows) {
      if (!takes(row.fileKey)) continue;
      for (const sample of samples) {
        const key = hashOf(sample);
        if (seen.has(key) && !keepsRepeats) continue;
        seen.add(key);
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
  target: TrainingSetTarget,
  signal: AbortSignal,
): AsyncGenerator<{ readonly row: TrainingRow; readonly samples: readonly Sample[] }> {
  const limit = target.maxSampleCharacters ?? defaultMaxSampleCharacters;
  const slices = new WorkSlices(signal);
  for (const row of trainingRows(snapshot, target)) {
    yield { row, samples: target.format === 'original' ? originalSamples(row) : editorSamples(row, limit) };
    if (slices.isOver) await slices.next();
  }
}

function hashOf({ prompt, completion }: Sample): string {
  return createHash('sha256')
    .update(JSON.stringify([prompt, completion]))
    .digest('base64');
}
