/** What a person says to a contact sheet. No import here: workflow code takes this file too. */
export interface ReviewDecision {
  /** Train now; with `reject`, without those images. `false` with `reject`: render them again and ask again. */
  readonly approve: boolean;
  readonly reject?: readonly { readonly index: number; readonly reason?: string }[];
  readonly captions?: readonly { readonly index: number; readonly caption: string }[];
  /** Who decided, for the record. */
  readonly by?: string;
}

/** What a decision is checked against. */
export interface ReviewFacts {
  readonly count: number;
  readonly accepted: number;
  readonly minImages: number;
}

/** What is wrong with a decision, one text for each fault; for the validator of a workflow update. */
export declare function reviewFaults(decision: unknown, facts: ReviewFacts): string[];
