import type { JournalState } from './journal.js';
import type { CharacterPlan, PlannedImage } from './plan.js';

/** One image that is still to be rendered. */
export interface RemainingImage {
  readonly image: PlannedImage;
  /** 0 for the first. */
  readonly attempt: number;
  readonly seed: number;
}

/** What the journal lacks, by index; images whose attempts are used up or that a person dropped are left out. */
export declare function remainingImages(
  plan: CharacterPlan,
  state: JournalState,
  limits: { readonly imageRetries: number },
): Generator<RemainingImage>;
