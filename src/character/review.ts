import { mkdir, readFile, rename } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { syncDirectory, writeFileDurable, writeJsonDurable } from '../files/durable-write.js';
import { exists } from '../files/exists.js';
import { sha256Of } from '../files/sha256.js';
import type { ServiceOptions } from '../service-options.js';
import { captionFileOf } from './caption-dataset.js';
import { openCaptionJournal, readCaptionEvents } from './caption-journal.js';
import type { CharacterRun } from './character-run.js';
import { datasetImages } from './dataset-images.js';
import { highestNumber, numberImages } from './image-numbers.js';
import { openJournal, readJournal, type Journal, type JournalState } from './journal.js';
import { rejectedName } from './receive-image.js';
import { namingRefusal } from './refused.js';
import { reviewFaults, type ReviewDecision } from './review-decision.js';

export interface ReviewResult {
  readonly rejected: number;
  readonly edited: number;
  /** Images that are to be rendered again now. */
  readonly again: number;
}

/**
 * Applies a person's decision: moves rejected images away, writes edited captions. Repeating it changes nothing: an image that is
 * gone already is not rejected twice. In a dataset that was there before, nothing can be rendered again. An approval is recorded
 * last, when all that was decided is done.
 *
 * @param options - An abort ends it before the next image.
 * @throws TowerError `REVIEW_INVALID` naming the faults; the signal's reason.
 */
export async function applyReview(
  run: CharacterRun,
  decision: ReviewDecision,
  { signal }: Partial<Pick<ServiceOptions, 'signal'>> = {},
): Promise<ReviewResult> {
  const { approve, reject = [], captions = [], by } = decision;
  const all = await datasetImages(run);
  const numbers = await numberImages(run, all);
  const images = new Map(all.map(({ file }) => [numbers.get(file) ?? 0, file]));
  const state = await readJournal(run.paths.journal);
  const isGone = (index: number) => !images.has(index) && (state.attempts.get(index) ?? 0) > 0;
  const gone = reject.filter(({ index }) => isGone(index)).length;
  const facts = {
    count: Math.max(run.job.count, highestNumber(numbers)),
    accepted: all.length + gone,
    minImages: run.job.minImages,
  };
  const faults = reviewFaults(decision, facts);
  for (const { index } of reject) if (!images.has(index) && !isGone(index)) faults.push(`there is no image ${index}`);
  for (const { index } of captions) if (!images.has(index)) faults.push(`there is no image ${index} to caption`);
  const makesImages = run.job.stages.includes('generate');
  if (!approve && reject.length > 0 && !makesImages) faults.push('this run makes no images: approve without them');
  if (faults.length > 0) {
    throw new TowerError('REVIEW_INVALID', `the decision does not fit: ${faults.join('; ')}`, {
      next: 'Look at the numbers on the contact sheet.',
    });
  }
  return namingRefusal(run.dataset.folder, async () => {
    const journal = await openJournal(run.paths.journal);
    try {
      for (const { index, reason } of reject) {
        signal?.throwIfAborted();
        const why = [by ?? 'a person', reason].filter((part) => part !== undefined).join(': ');
        const file = images.get(index);
        if (file !== undefined)
          await rejectImage(run, { file, index }, { state, journal, reason: why, again: !approve });
      }
      const edited = captions.flatMap(({ index, caption }) => {
        const image = images.get(index);
        return image === undefined ? [] : [{ image, text: caption.trim() }];
      });
      await writeCaptions(run, edited, { by: by ?? null, signal });
    } finally {
      await journal.close();
    }
    signal?.throwIfAborted();
    if (approve && !(await isApproved(run))) {
      await writeJsonDurable(run.paths.approval, { approvedAt: new Date().toISOString(), by: by ?? null });
    }
    return { rejected: reject.length, edited: captions.length, again: approve ? 0 : reject.length };
  });
}

/** On record as a person's, so that they stay whenever captions are written again, whatever the job says. */
async function writeCaptions(
  { dataset, reservation }: CharacterRun,
  captions: readonly { readonly image: string; readonly text: string }[],
  { by, signal }: { readonly by: string | null; readonly signal: AbortSignal | undefined },
): Promise<void> {
  if (captions.length === 0) return;
  const known = await lastReviewed(dataset.captionJournal, reservation.run);
  const lines = captions.map(({ image, text }) => ({ image, sha256: sha256Of(text) }));
  const unrecorded = lines.filter(({ image, sha256 }) => known.get(image) !== sha256);
  const event = { event: 'reviewed', at: new Date().toISOString(), run: reservation.run, by } as const;
  const journal = await openCaptionJournal(dataset.captionJournal);
  try {
    signal?.throwIfAborted();
    if (unrecorded.length > 0) await journal.append(unrecorded.map((line) => ({ ...event, ...line })));
  } finally {
    await journal.close();
  }
  for (const { image, text } of captions) {
    signal?.throwIfAborted();
    const path = join(dataset.images, captionFileOf(image));
    if ((await readFile(path, 'utf8').catch(undefinedIfAbsent)) !== text) await writeFileDurable(path, text);
  }
}

/** Hash of the caption that was given last for an image in a review of this run. */
async function lastReviewed(captionJournal: string, run: string): Promise<ReadonlyMap<string, string>> {
  const events = await readCaptionEvents(captionJournal);
  return new Map(
    events.flatMap((event) =>
      event.event === 'reviewed' && event.run === run ? [[event.image, event.sha256] as const] : [],
    ),
  );
}

/** Whether a person has approved the dataset of this run, also in an earlier workflow of it. */
export async function isApproved({ paths }: CharacterRun): Promise<boolean> {
  return exists(paths.approval);
}

async function rejectImage(
  { dataset }: CharacterRun,
  { file, index }: { readonly file: string; readonly index: number },
  { state, journal, reason, again }: { state: JournalState; journal: Journal; reason: string; again: boolean },
): Promise<void> {
  const { images, rejected, folder } = dataset;
  const known = state.accepted.get(index);
  const attempts = state.attempts.get(index) ?? 0;
  const earlier = known === undefined ? state.rejected.findLast((entry) => entry.index === index)?.file : undefined;
  const attempt = known?.attempt ?? Math.max(0, attempts - 1);
  await mkdir(rejected, { recursive: true });
  const isKept = typeof earlier === 'string' && !(await exists(join(folder, earlier)));
  const target = isKept ? join(folder, earlier) : await freePath(join(rejected, rejectedName(file, attempt)));
  if (known !== undefined || attempts === 0) {
    // Before the file is moved: what a crash leaves in images/ is moved when the decision is applied again.
    const { seed = 1, promptId = null } = known ?? {};
    const event = {
      at: new Date().toISOString(),
      index,
      attempt,
      seed,
      promptId,
      code: 'person' as const,
      reason,
      again,
    };
    await journal.append([{ event: 'rejected', ...event, file: relative(folder, target) }]);
  }
  // The caption first: of an image that is gone, nothing is left to be done. It may be somebody's work.
  await rename(join(images, captionFileOf(file)), captionFileOf(target)).catch(undefinedIfAbsent);
  await rename(join(images, file), target).catch(undefinedIfAbsent);
  await syncDirectory(images);
}

/** The path, or the first of its kind that no image and no caption of another run has. */
async function freePath(path: string): Promise<string> {
  for (let number = 1; ; number += 1) {
    const candidate = number === 1 ? path : path.replace(/(\.[^.]+)$/, `-${number}$1`);
    if (!(await exists(candidate)) && !(await exists(captionFileOf(candidate)))) return candidate;
  }
}
