import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { writeFileDurable } from '../files/durable-write.js';
import { readJsonIfExists } from '../files/read-json.js';
import { sha256Of } from '../files/sha256.js';
import type { ServiceOptions } from '../service-options.js';
import { captionOf } from './captions.js';
import type { CharacterRun } from './character-run.js';
import { writeContactSheets } from './contact-sheet.js';
import { datasetImages, type DatasetImage } from './dataset-images.js';
import { openJournal, readJournal, type Journal } from './journal.js';
import { namingRefusal } from './refused.js';
import { writeGenerationMetadata, writeTaggingResults, type TaggedImage } from './seed-files.js';

export interface CaptionSummary {
  readonly images: number;
  readonly written: number;
  /** Edited by a person, left as they are. */
  readonly kept: number;
  /** Captions without an image's own pose, expression, angle, lighting and background, because no record has them. */
  readonly withoutAttributes: number;
  /** Were there, but empty, and were written anew: an empty caption stops the trainer. */
  readonly refilled: number;
}

/** So many captions share one write of the journal. */
const batchSize = 100;

/** Captions that Tower, or the system it replaces, is known to have written. */
const taggingResultsSchema = z.looseObject({
  tagged_files: z.array(z.looseObject({ image: z.string(), tags: z.string(), edited: z.boolean().optional() })),
});

/**
 * Writes a caption beside each image, and the dataset's JSON files and contact sheets. Repeating it changes nothing. A caption
 * that neither Tower nor the original has written is a person's, and stays (unless the job says `overwriteCaptions`).
 *
 * @throws TowerError `TOO_FEW_IMAGES` (fewer than `minImages`), `NO_PERMISSION`, `DISK_FULL`
 */
export async function captionDataset(
  run: CharacterRun,
  { signal, onProgress, log }: ServiceOptions<{ readonly done: number; readonly total: number }>,
): Promise<CaptionSummary> {
  const images = await requireEnoughImages(run);
  return namingRefusal(run.dataset.folder, async () => {
    await writeGenerationMetadata(run);
    const journal = await openJournal(run.paths.journal);
    try {
      const own = await ownCaptions(run);
      const captioned: Captioned[] = [];
      for (let from = 0; from < images.length; from += batchSize) {
        signal.throwIfAborted();
        const batch = images.slice(from, from + batchSize);
        captioned.push(...(await captionBatch(run, batch, { own, journal })));
        onProgress?.({ done: captioned.length, total: images.length });
      }
      await writeTaggingResults(run, captioned);
      await writeContactSheets(run, captioned, { signal });
      const summary = summaryOf(captioned, images);
      log.info(summary, 'captions are written');
      return summary;
    } finally {
      await journal.close();
    }
  });
}

/** @throws TowerError `TOO_FEW_IMAGES` */
export async function requireEnoughImages(run: CharacterRun): Promise<DatasetImage[]> {
  const images = await datasetImages(run);
  const { minImages } = run.job;
  if (images.length >= minImages) return images;
  throw new TowerError(
    'TOO_FEW_IMAGES',
    `${images.length} images are in the dataset, at least ${minImages} are needed`,
    {
      next: `Look into ${run.dataset.rejected} for what was rejected and why; lower minImages, or start the job again.`,
      details: { images: images.length, minImages, count: run.job.count },
    },
  );
}

interface Captioned extends TaggedImage {
  readonly written: boolean;
  readonly refilled: boolean;
}

async function captionBatch(
  run: CharacterRun,
  images: readonly DatasetImage[],
  { own, journal }: { own: OwnCaptions; journal: Journal },
): Promise<Captioned[]> {
  const decided = await Promise.all(images.map((image) => decideCaption(run, image, own)));
  const toWrite = decided.filter(({ written }) => written);
  const at = new Date().toISOString();
  // Recorded first: a caption that is on disk and not in the journal would count as a person's.
  if (toWrite.length > 0) {
    await journal.append(
      toWrite.map(({ image, tags }) => ({ event: 'captioned' as const, at, image, sha256: sha256Of(tags) })),
    );
  }
  for (const { tagsFile, tags } of toWrite) await writeFileDurable(join(run.dataset.images, tagsFile), tags);
  return decided;
}

async function decideCaption(run: CharacterRun, image: DatasetImage, own: OwnCaptions): Promise<Captioned> {
  const tagsFile = captionFileOf(image.file);
  const tags = captionOf(run.job, image.attributes);
  const found = await readFile(join(run.dataset.images, tagsFile), 'utf8').catch(undefinedIfAbsent);
  const isEmpty = found?.trim() === '';
  const edited = found !== undefined && !isEmpty && !own.has(image.file, found) && !run.job.overwriteCaptions;
  if (edited) return { image: image.file, tagsFile, tags: found, edited, written: false, refilled: false };
  return { image: image.file, tagsFile, tags, edited, written: found !== tags, refilled: isEmpty };
}

/** Caption of `elara_001.png`: `elara_001.txt`. */
export function captionFileOf(image: string): string {
  return image.replace(/\.[^.]+$/, '.txt');
}

interface OwnCaptions {
  has(image: string, text: string): boolean;
}

async function ownCaptions(run: CharacterRun): Promise<OwnCaptions> {
  const { captions } = await readJournal(run.paths.journal);
  const results = await readJsonIfExists(run.dataset.taggingResults, taggingResultsSchema);
  const earlier = new Map(
    (results?.tagged_files ?? []).flatMap(({ image, tags, edited }) =>
      edited === true ? [] : [[image.replace(/^.*[\\/]/, ''), tags]],
    ),
  );
  return {
    has: (image, text) => captions.get(image)?.has(sha256Of(text)) === true || earlier.get(image) === text,
  };
}

function summaryOf(captioned: readonly Captioned[], images: readonly DatasetImage[]): CaptionSummary {
  return {
    images: images.length,
    written: captioned.filter(({ written }) => written).length,
    kept: captioned.filter(({ edited }) => edited).length,
    withoutAttributes: images.filter(({ attributes }) => attributes === undefined).length,
    refilled: captioned.filter(({ refilled }) => refilled).length,
  };
}
