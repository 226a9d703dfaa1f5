/** How two images of the same size differ. */
export interface ImageDifference {
  /** Mean absolute difference of the colour values, 0–255. */
  readonly meanAbsolute: number;
  readonly largest: number;
  /** Share of pixels that differ, 0–1. */
  readonly changedShare: number;
}

/**
 * Proof that a LoRA does something: the same prompt and seed with and without it.
 *
 * @throws TowerError `LORA_WITHOUT_EFFECT` when the images are the same, `PROOF_INVALID` when one cannot be read or sizes differ.
 */
export declare function compareProof(without: string, withLora: string): Promise<ImageDifference>;
