import type { JournalState } from './journal.js';
import { attemptSeed, type CharacterPlan, type PlannedImage } from './plan.js';

/** One image that is still to be rendered. */
export interface RemainingImage {
  readonly image: PlannedImage;
  /** 0 for the first. */
  readonly attempt: number;
  readonly seed: number;
}

/** What the journal lacks, by index; images whose attempts are used up or that a person dropped are left out. */
export function* remainingImages(
  plan: CharacterPlan,
  state: JournalState,
  { imageRetries }: { readonly imageRetries: number },
): Generator<RemainingImage> {
  for (const image of plan.images) {
    const { index } = image;
    if (state.accepted.has(index) || state.dropped.has(index)) continue;
    if ((state.faults.get(index) ?? 0) > imageRetries) continue;
    const attempt = state.attempts.get(index) ?? 0;
    yield { image, attempt, seed: attemptSeed(plan, image, attempt) };
  }
}
