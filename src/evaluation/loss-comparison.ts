/** A quantity with its 95 % confidence interval. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Mean held-out losses per token in nats, and their paired differences, each with its 95 % interval. */
export interface LossComparison {
  readonly samples: number;
  /** Predicted tokens in these samples. */
  readonly tokens: number;
  readonly base: Estimate;
  readonly candidate: Estimate;
  /** `null` when there was no champion to compare with. */
  readonly champion: Estimate | null;
  /** Below 0: the candidate is better. */
  readonly candidateMinusBase: Estimate;
  readonly candidateMinusChampion: Estimate | null;
}
