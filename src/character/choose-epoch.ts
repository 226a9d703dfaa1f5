/** One saved epoch of a training, as the trainer's driver reads it. */
export interface EpochCandidate {
  /** From 1. */
  readonly epoch: number;
  /** The LoRA after this epoch. */
  readonly path: string;
  readonly sha256: string;
  readonly trainLoss: number | null;
  /** Mean loss over the held-out images, at fixed noise and timesteps; `null` where it was not measured. */
  readonly heldOutLoss: number | null;
  /** Samples with fixed prompts and seeds, in the order of the prompts. */
  readonly samples: readonly string[];
}

/** Scores of an epoch's samples, in their order; more is better. */
export interface EpochScores {
  readonly epoch: number;
  readonly scores: readonly number[];
}

export interface EpochChoice {
  readonly epoch: number;
  readonly path: string;
  readonly sha256: string;
  readonly method: 'held-out-loss' | 'scorer' | 'held-out-loss-and-scorer' | 'last-epoch';
  /** In words, with the figures. */
  readonly reason: string;
  /** Differences of the held-out loss up to this are noise; `null` where it was not measured or too few epochs tell. */
  readonly noise: number | null;
  readonly epochs: readonly {
    readonly epoch: number;
    readonly trainLoss: number | null;
    readonly heldOutLoss: number | null;
    readonly score: number | null;
    readonly samples: readonly string[];
    /** Not worse than the best beyond noise. */
    readonly eligible: boolean;
  }[];
}

/** Chooses the epoch to deliver (docs/character-lora.md, "The epoch"). Pure. @throws TowerError `NO_EPOCHS` */
export declare function chooseEpoch(epochs: readonly EpochCandidate[], scores?: readonly EpochScores[]): EpochChoice;
