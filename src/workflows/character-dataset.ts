import { patched, proxyActivities } from '@temporalio/workflow';

import type {
  CaptionRecord,
  CharacterHostActivities,
  CheckedCharacter,
  ImageCounts,
  PreparedCharacter,
} from '../activities/character/interfaces.js';
import type { Placement } from '../activities/interfaces.js';
import type { CharacterDisplay } from './character-display.js';
import { renderDataset } from './character-render.js';
import type { CharacterSlot } from './character-slot.js';
import type { PauseControl } from './pause-control.js';
import { waitForPlace } from './place-while-paused.js';
import { hostWorkPolicy } from './policies.js';
import type { ReviewAnswer, ReviewControl } from './review-control.js';
import { StageClock, withinLimit } from './stage-limit.js';

/** What a new execution has to know of the rendering so far. */
export interface RenderTurns {
  /** How often it made way for more urgent work. */
  yields: number;
  /** How long it has lasted, for its limit. */
  clock: StageClock;
}

/** What the stages of one run share. */
export interface CharacterParts {
  readonly checked: CheckedCharacter;
  readonly prepared: PreparedCharacter;
  readonly placement: Placement;
  readonly display: CharacterDisplay;
  readonly pause: PauseControl;
  readonly review: ReviewControl;
  readonly slot: CharacterSlot;
  readonly turns: RenderTurns;
  /** Asked between two turns on the GPU: goes on in a new execution when the history has grown long. */
  readonly moveOn: () => Promise<void>;
}

/** Stages that were not asked for are `null`. */
export interface CharacterDataset {
  readonly images: ImageCounts | null;
  readonly captions: CaptionRecord | null;
  readonly simulated: boolean;
}

/** Images, captions and, where the job asks for it, a person's approval of both. */
export async function makeDataset(parts: CharacterParts): Promise<CharacterDataset> {
  const { checked, prepared, display, pause } = parts;
  let dataset = await makeImages(parts);
  // What a person has approved is asked for once; an image that is put into the folder later is trained with all the same.
  if (!checked.review || prepared.approved === true) return dataset;
  for (;;) {
    // A review holds no place, so none may be on its way.
    await pause.released();
    display.stage('review');
    const { state, rejected, edited, again } = await askPerson(parts, dataset);
    if (again > 0) dataset = await makeImages(parts);
    else if (rejected > 0 || edited > 0) dataset = await recordDecision(parts, dataset, { rejected });
    if (state === 'approved') return dataset;
  }
}

async function makeImages(parts: CharacterParts): Promise<CharacterDataset> {
  const { stages } = parts.checked;
  const rendered = stages.includes('generate') ? await renderImages(parts) : undefined;
  const captions = stages.includes('tag') ? await captionImages(parts) : null;
  return { images: rendered?.images ?? null, captions, simulated: rendered?.simulated ?? false };
}

/** What the dataset says of itself has to be what a person has left of it. */
async function recordDecision(
  parts: CharacterParts,
  dataset: CharacterDataset,
  { rejected }: { readonly rejected: number },
): Promise<CharacterDataset> {
  const { checked, prepared, placement } = parts;
  const host = proxyActivities<CharacterHostActivities>(hostWorkPolicy(placement));
  const counted = rejected > 0 && checked.stages.includes('generate') && patched('counts-after-review');
  const images = counted ? await host.finishImages({ run: prepared.run }) : dataset.images;
  const captioned = checked.stages.includes('tag') || !patched('counts-after-review');
  const captions = captioned ? await captionImages(parts) : dataset.captions;
  return { ...dataset, images, captions };
}

async function askPerson(parts: CharacterParts, { images, captions }: CharacterDataset): Promise<ReviewAnswer> {
  const { checked, prepared, placement, pause, review, slot } = parts;
  const { run, planned, dataset } = prepared;
  const host = proxyActivities<CharacterHostActivities>(hostWorkPolicy(placement));
  const question = {
    contactSheet: `${dataset}/contact-sheet.jpg`,
    // Of an existing dataset, the highest number may be above the count of its files.
    count: Math.max(images?.planned ?? planned, captions?.highestNumber ?? 0),
    accepted: images?.accepted ?? captions?.images ?? planned,
    minImages: checked.minImages,
  };
  // Before anything else: whoever sees the stage `review` can decide.
  const asked = review.ask(question, (decision) => host.reviewCharacter({ run, decision }));
  // Its failure is told below.
  asked.catch(() => undefined);
  // Nobody should wait for a place because a person has not looked yet.
  await slot.release();
  const answer = await asked;
  await waitForPlace(parts);
  await pause.gate();
  return answer;
}

async function renderImages({
  checked,
  prepared: { run },
  placement,
  display,
  pause,
  turns,
  moveOn,
}: CharacterParts): Promise<{ readonly images: ImageCounts; readonly simulated: boolean }> {
  const host = proxyActivities<CharacterHostActivities>(hostWorkPolicy(placement));
  display.stage('render');
  const limit = { stage: 'generate', limitMs: checked.timeoutMs.generate, pause, clock: turns.clock };
  const rendered = await withinLimit(limit, async () => {
    const turn = await renderDataset({
      run,
      checked,
      placement,
      pause,
      moveOn,
      onTurn: (counts) => {
        display.images(counts, counts.stopped);
        if (counts.stopped !== null) turns.yields += 1;
        if (counts.simulated) display.simulated();
      },
    });
    return { images: await host.finishImages({ run }), simulated: turn.simulated };
  });
  turns.clock = new StageClock();
  return rendered;
}

async function captionImages({
  checked,
  prepared: { run },
  placement,
  display,
  pause,
}: CharacterParts): Promise<CaptionRecord> {
  const host = proxyActivities<CharacterHostActivities>(hostWorkPolicy(placement));
  await pause.gate();
  display.stage('caption');
  const limit = { stage: 'tag', limitMs: checked.timeoutMs.tag, pause };
  const captions = await withinLimit(limit, () => host.captionCharacter({ run }));
  display.captioned(captions);
  return captions;
}
