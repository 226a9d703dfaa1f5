import { ApplicationFailure, condition, defineQuery, defineUpdate, setHandler } from '@temporalio/workflow';

import type { ReviewRecord } from '../activities/character/interfaces.js';
import { reviewFaults, type ReviewDecision, type ReviewFacts } from '../character/review-decision.js';
import { approveUpdateName, reviewQueryName } from './names.js';

/** What a decision came to. */
export interface ReviewAnswer extends ReviewRecord {
  /** `reviewing`: another look is asked for, after what is to be rendered again. */
  readonly state: 'approved' | 'reviewing';
}

/** A person's decision about the contact sheet. */
const approveUpdate = defineUpdate<ReviewAnswer, [ReviewDecision]>(approveUpdateName);

/** What a person is asked to look at. */
export interface ReviewQuestion extends ReviewFacts {
  /** On the GPU host. */
  readonly contactSheet: string;
}

/** What a run waits for a decision about; `null` when it does not. */
const reviewQuery = defineQuery<ReviewQuestion | null>(reviewQueryName);

interface Review {
  readonly question: ReviewQuestion;
  readonly apply: (decision: ReviewDecision) => Promise<ReviewRecord>;
  answer?: ReviewAnswer;
}

/** The review of a contact sheet by a person. One instance for each workflow execution; it registers update and query. */
export class ReviewControl {
  #review: Review | undefined;
  #busy = false;

  constructor() {
    setHandler(approveUpdate, (decision) => this.#decide(decision), {
      validator: (decision: ReviewDecision) => this.#check(decision),
    });
    setHandler(reviewQuery, () => this.#review?.question ?? null);
  }

  /**
   * Waits for a person.
   *
   * @param apply - Carries a decision out; when it fails, the decision is refused and the review goes on.
   */
  async ask(question: ReviewQuestion, apply: Review['apply']): Promise<ReviewAnswer> {
    const review: Review = { question, apply };
    this.#review = review;
    try {
      await condition(() => review.answer !== undefined);
      return review.answer ?? { state: 'approved', rejected: 0, edited: 0, again: 0 };
    } finally {
      this.#review = undefined;
    }
  }

  async #decide(decision: ReviewDecision): Promise<ReviewAnswer> {
    const review = this.#review;
    if (review === undefined) throw notInReview();
    this.#busy = true;
    try {
      const record = await review.apply(decision);
      review.answer = { ...record, state: decision.approve ? 'approved' : 'reviewing' };
      return review.answer;
    } finally {
      this.#busy = false;
    }
  }

  #check(decision: ReviewDecision): void {
    if (this.#review === undefined) throw notInReview();
    if (this.#busy) throw refused('another decision about this contact sheet is being carried out');
    const faults = reviewFaults(decision, this.#review.question);
    if (faults.length > 0) throw refused(faults.join('; '));
  }
}

function notInReview(): ApplicationFailure {
  return refused('this run does not wait for a decision about its contact sheet');
}

function refused(message: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(message, 'REVIEW_REFUSED');
}
