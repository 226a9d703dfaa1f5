import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { writeFileDurable } from '../files/durable-write.js';
import { sha256Of, sha256OfFile } from '../files/sha256.js';
import { isBitmap } from '../kohya/image-files.js';
import type { ServiceOptions } from '../service-options.js';
import { openCaptionJournal, type CaptionEvent } from './caption-journal.js';
import { captionOf } from './captions.js';
import type { CharacterRun } from './character-run.js';
import { writeContactSheets } from './contact-sheet.js';
import { datasetImages, type DatasetImage } from './dataset-images.js';
import type { Journal } from './journal.js';
import { highestNumber, numberImages } from './image-numbers.js';
import { readOwnCaptions, type OwnCaptions } from './own-captions.js';
import { namingRefusal } from './refused.js';
import { writeGenerationMetadata, writeTaggingResults, type TaggedImage } from './seed-files.js';
import { setContactSheetsAside, setTaggingResultsAside } from './set-aside.js';
import { removeTemporaryFiles } from './temporary-files.js';

export interface CaptionSummary {
  readonly images: number;
  readonly written: number;
  /** Edited by a person, left as they are. */
  readonly kept: number;
  /** Captions without an image's own pose, expression, angle, lighting and background, because no record has them. */
  readonly withoutAttributes: number;
  /** Were there, but empty, and were written anew: an empty caption stops the trainer. */
  readonly refilled: number;
  /** Of the numbers on the contact sheet. */
  readonly highestNumber: number;
}

/** Far longer than a caption is under its temporary name: another attempt may be at work still. */
const temporaryFileMs = 60_000;

/** How many of them a message names. */
const namedBitmaps = 5;

/** So many captions share one write of the journal. */
const batchSize = 100;

/**
 * Writes a caption beside each image, and the dataset's JSON files and contact sheets. Repeating it changes nothing. A caption
 * that neither Tower nor the original has written is a person's, and stays (unless the job says `overwriteCaptions` and it was not
 * given in a review). Files of other programs under the names of Tower's are kept under another name.
 *
 * @throws TowerError `TOO_FEW_IMAGES` (fewer than `minImages`), `BITMAPS_IN_DATASET`, `NO_PERMISSION`, `DISK_FULL`
 */
export async function captionDataset(
  run: CharacterRun,
  { signal, onProgress, log }: ServiceOptions<{ readonly done: number; readonly total: number }>,
): Promise<CaptionSummary> {
  const images = await requireEnoughImages(run);
  return namingRefusal(run.dataset.folder, async () => {
    await removeTemporaryFiles(run.dataset.images, { olderThanMs: temporaryFileMs });
    await writeGenerationMetadata(run);
    await setContactSheetsAside(run.dataset, log);
    const journal = await openCaptionJournal(run.dataset.captionJournal);
    try {
      const own = await readOwnCaptions(run);
      const captioned: Captioned[] = [];
      for (let from = 0; from < images.length; from += batchSize) {
        signal.throwIfAborted();
        const batch = images.slice(from, from + batchSize);
        captioned.push(...(await captionBatch(run, batch, { own, journal })));
        onProgress?.({ done: captioned.length, total: images.length });
      }
      await setTaggingResultsAside(run.dataset, log);
      await writeTaggingResults(run, captioned);
      await writeContactSheets(run, images, { signal });
      const numbers = await numberImages(run, images);
      const summary = { ...summaryOf(captioned, images), highestNumber: highestNumber(numbers) };
      log.info(summary, 'captions are written');
      return summary;
    } finally {
      await journal.close();
    }
  });
}

/** The images of the dataset, none of which is a bitmap. @throws TowerError `BITMAPS_IN_DATASET`, `TOO_FEW_IMAGES` */
export async function requireEnoughImages(run: CharacterRun): Promise<DatasetImage[]> {
  const images = await datasetImages(run);
  refuseBitmaps(run, images);
  const { minImages } = run.job;
  if (images.length >= minImages) return images;
  const next = run.job.stages.includes('generate')
    ? `Look into ${run.dataset.rejected} for what was rejected and why; lower minImages, or start the job again.`
    : `Put more images into ${run.dataset.images}, or lower minImages.`;
  throw new TowerError(
    'TOO_FEW_IMAGES',
    `${images.length} images are in the dataset, at least ${minImages} are needed`,
    {
      next,
      details: { images: images.length, minImages, count: run.job.count },
    },
  );
}

function refuseBitmaps({ dataset }: CharacterRun, images: readonly DatasetImage[]): void {
  const bitmaps = images.map(({ file }) => file).filter(isBitmap);
  if (bitmaps.length === 0) return;
  throw new TowerError(
    'BITMAPS_IN_DATASET',
    `${dataset.images} holds bitmaps (BMP), which are not taken: ${bitmaps.slice(0, namedBitmaps).join(', ')}${bitmaps.length > namedBitmaps ? ', …' : ''}`,
    { next: 'Convert them to PNG, then start the run again.', details: { bitmaps: bitmaps.length } },
  );
}

interface Captioned extends TaggedImage {
  readonly written: boolean;
  /** The journal does not know yet that this run stands by the text. */
  readonly unrecorded: boolean;
  readonly refilled: boolean;
}

async function captionBatch(
  run: CharacterRun,
  images: readonly DatasetImage[],
  { own, journal }: { own: OwnCaptions; journal: Journal<CaptionEvent> },
): Promise<Captioned[]> {
  const decided = await Promise.all(images.map((image) => decideCaption(run, image, own)));
  const unrecorded = decided.filter((caption) => caption.unrecorded);
  const event = { event: 'captioned', at: new Date().toISOString(), run: run.reservation.run } as const;
  // Recorded first: a caption that is on disk and not in the journal would count as a person's.
  if (unrecorded.length > 0) {
    await journal.append(unrecorded.map(({ image, tags }) => ({ ...event, image, sha256: sha256Of(tags) })));
  }
  for (const { tagsFile, tags, written } of decided) {
    if (written) await writeFileDurable(join(run.dataset.images, tagsFile), tags);
  }
  return decided;
}

async function decideCaption(
  run: CharacterRun,
  { file: image, ...record }: DatasetImage,
  own: OwnCaptions,
): Promise<Captioned> {
  const tagsFile = captionFileOf(image);
  const tags = captionOf(run.job, record.attributes);
  const found = await readFile(join(run.dataset.images, tagsFile), 'utf8').catch(undefinedIfAbsent);
  const isEmpty = found?.trim() === '';
  const isPersons = (text: string) =>
    own.isReviewed(image, text) || (!own.has(image, text) && !run.job.overwriteCaptions);
  const edited = found !== undefined && !isEmpty && isPersons(found);
  // Of the file as it is: a person may have retouched the image.
  const sha256 = await sha256OfFile(join(run.dataset.images, image));
  const caption = { image, record: { ...record, sha256 }, tagsFile, edited };
  if (edited) return { ...caption, tags: found, written: false, unrecorded: false, refilled: false };
  const unrecorded = !own.writersOf(image, tags).has(run.reservation.run);
  return { ...caption, tags, written: found !== tags, unrecorded, refilled: isEmpty };
}

/** Caption of `elara_001.png`: `elara_001.txt`. */
export function captionFileOf(image: string): string {
  return image.replace(/\.[^.]+$/, '.txt');
}

function summaryOf(
  captioned: readonly Captioned[],
  images: readonly DatasetImage[],
): Omit<CaptionSummary, 'highestNumber'> {
  return {
    images: images.length,
    written: captioned.filter(({ written }) => written).length,
    kept: captioned.filter(({ edited }) => edited).length,
    withoutAttributes: images.filter(({ attributes }) => attributes === undefined).length,
    refilled: captioned.filter(({ refilled }) => refilled).length,
  };
}
