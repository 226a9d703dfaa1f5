import { mkdir, rename, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';

import { TowerError } from '../errors.js';
import { undefinedIfAbsent } from '../files/absent.js';
import { syncDirectory, writeFileDurable } from '../files/durable-write.js';
import { captionFileOf } from './caption-dataset.js';
import type { CharacterRun } from './character-run.js';
import { datasetImages, type DatasetImage } from './dataset-images.js';
import { openJournal, readJournal, type Journal, type JournalState } from './journal.js';
import { rejectedName } from './receive-image.js';
import { namingRefusal } from './refused.js';
import { imageFileName } from './run-paths.js';
import { reviewFaults, type ReviewDecision } from './review-decision.js';

export interface ReviewResult {
  readonly rejected: number;
  readonly edited: number;
  /** Images that are to be rendered again now. */
  readonly again: number;
}

/**
 * Applies a person's decision: moves rejected images away, writes edited captions. Repeating it changes nothing: an image that is
 * gone already is not rejected twice. In a dataset that was there before, nothing can be rendered again.
 *
 * @throws TowerError `REVIEW_INVALID` naming the faults.
 */
export async function applyReview(run: CharacterRun, decision: ReviewDecision): Promise<ReviewResult> {
  const { approve, reject = [], captions = [], by } = decision;
  const images = new Map((await datasetImages(run)).map((image) => [image.index, image]));
  const state = await readJournal(run.paths.journal);
  const isGone = (index: number) => !images.has(index) && (state.attempts.get(index) ?? 0) > 0;
  const gone = reject.filter(({ index }) => isGone(index)).length;
  const facts = {
    count: Math.max(run.job.count, ...[...images.keys()].map((index) => index ?? 0)),
    accepted: images.size + gone,
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
        const why = [by ?? 'a person', reason].filter((part) => part !== undefined).join(': ');
        const image = images.get(index) ?? { index, file: imageFileName(run.slug, index, run.job.count) };
        await rejectImage(run, image, { state, journal, reason: why, again: !approve });
      }
      for (const { index, caption } of captions) {
        const image = images.get(index);
        if (image === undefined) continue;
        // Not in the journal as Tower's: it stays when captions are written again.
        await writeFileDurable(join(run.dataset.images, captionFileOf(image.file)), caption.trim());
      }
    } finally {
      await journal.close();
    }
    return { rejected: reject.length, edited: captions.length, again: approve ? 0 : reject.length };
  });
}

async function rejectImage(
  run: CharacterRun,
  { file, index }: Pick<DatasetImage, 'file' | 'index'>,
  { state, journal, reason, again }: { state: JournalState; journal: Journal; reason: string; again: boolean },
): Promise<void> {
  const { images, rejected, folder } = run.dataset;
  const known = index === null ? undefined : state.accepted.get(index);
  const isJournaled = index !== null && known === undefined && (state.attempts.get(index) ?? 0) > 0;
  const attempt = known?.attempt ?? Math.max(0, (state.attempts.get(index ?? 0) ?? 0) - 1);
  const target = join(rejected, rejectedName(file, attempt));
  if (!isJournaled) {
    // Before the file is moved: what a crash leaves in images/ is moved when the decision is applied again.
    const { seed = 1, promptId = null } = known ?? {};
    const at = new Date().toISOString();
    const event = { at, index: index ?? 1, attempt, seed, promptId, code: 'person' as const, reason, again };
    await journal.append([{ event: 'rejected', ...event, file: relative(folder, target) }]);
  }
  await mkdir(rejected, { recursive: true });
  await rename(join(images, file), target).catch(undefinedIfAbsent);
  await rm(join(images, captionFileOf(file)), { force: true });
  await syncDirectory(images);
}
