import type { CharacterRun } from './character-run.js';
import type { ReviewDecision } from './review-decision.js';

export interface ReviewResult {
  readonly rejected: number;
  readonly edited: number;
  /** Images that are to be rendered again now. */
  readonly again: number;
}

/**
 * Applies a person's decision: moves rejected images away, writes edited captions. Repeating it changes nothing.
 *
 * @throws TowerError `REVIEW_INVALID` naming the faults.
 */
export declare function applyReview(run: CharacterRun, decision: ReviewDecision): Promise<ReviewResult>;
