import { proxyActivities } from '@temporalio/workflow';

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
import { hostWorkPolicy } from './policies.js';
import type { ReviewAnswer, ReviewControl } from './review-control.js';
import { withinLimit } from './stage-limit.js';

/** What the stages of one run share. */
export interface CharacterParts {
  readonly checked: CheckedCharacter;
  readonly prepared: PreparedCharacter;
  readonly placement: Placement;
  readonly display: CharacterDisplay;
  readonly pause: PauseControl;
  readonly review: ReviewControl;
  readonly slot: CharacterSlot;
  /** How often the rendering made way for more urgent work. */
  readonly turns: { yields: number };
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
  const { checked, display } = parts;
  let dataset = await makeImages(parts);
  if (!checked.review) return dataset;
  for (;;) {
    display.stage('review');
    const { state, rejected, edited, again } = await askPerson(parts, dataset);
    if (again > 0) dataset = await makeImages(parts);
    else if (rejected > 0 || edited > 0) dataset = { ...dataset, captions: await captionImages(parts) };
    if (state === 'approved') return dataset;
  }
}

async function makeImages(parts: CharacterParts): Promise<CharacterDataset> {
  const { stages } = parts.checked;
  const rendered = stages.includes('generate') ? await renderImages(parts) : undefined;
  const captions = stages.includes('tag') ? await captionImages(parts) : null;
  return { images: rendered?.images ?? null, captions, simulated: rendered?.simulated ?? false };
}

async function askPerson(
  { checked, prepared: { run, planned }, placement, display, pause, review, slot }: CharacterParts,
  { images, captions }: CharacterDataset,
): Promise<ReviewAnswer> {
  const host = proxyActivities<CharacterHostActivities>(hostWorkPolicy(placement));
  // Nobody should wait for a place because a person has not looked yet.
  await slot.release();
  const facts = {
    count: images?.planned ?? planned,
    accepted: images?.accepted ?? captions?.images ?? planned,
    minImages: checked.minImages,
  };
  const answer = await review.ask(facts, (decision) => host.reviewCharacter({ run, decision }));
  display.stage('wait for a slot');
  await slot.acquire(checked.maxConcurrent);
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
  const limit = { stage: 'generate', limitMs: checked.timeoutMs.generate, pause };
  return withinLimit(limit, async () => {
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
