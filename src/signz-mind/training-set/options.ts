export const trainingSetFormats = ['editor', 'original'] as const;
export type TrainingSetFormat = (typeof trainingSetFormats)[number];

/** How samples are made from the ledger's rows (configuration `data`). */
export interface TrainingSetOptions {
  /** `editor`: see `editor-samples.ts`; `original`: exactly the original's samples (contract signz-mind 6.1, 6.2). */
  readonly format: TrainingSetFormat;
  /** Share of source files that are kept out of training, 0 to 0.5. */
  readonly heldOutShare: number;
  readonly snippets: boolean;
  /** Only snippets with exactly this label teach. */
  readonly snippetQualityLabel: string;
  readonly feedback: boolean;
  /** Feedback types that teach; an empty list means all. */
  readonly positiveFeedbackTypes: readonly string[];
  /** `editor` only: longest sample, prompt included, in UTF-16 units. Default 3000, about 1024 tokens of code. */
  readonly maxSampleCharacters?: number;
}

/** One line of a dataset file. The loss covers the completion only; without a prompt that is the whole text. */
export interface Sample {
  readonly prompt?: string;
  readonly completion: string;
}
