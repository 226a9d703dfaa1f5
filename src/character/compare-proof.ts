import sharp from 'sharp';

import { describeError, TowerError } from '../errors.js';
import { whyBlank } from './check-image.js';
import type { CheckThresholds } from './check-thresholds.js';

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
 * @throws TowerError `LORA_WITHOUT_EFFECT` when the images are the same, `PROOF_BLANK` when one is a plain surface, `PROOF_INVALID`
 * when one cannot be read or sizes differ.
 */
export async function compareProof(
  without: string,
  withLora: string,
  thresholds: CheckThresholds,
): Promise<ImageDifference> {
  const [one, other] = [await pixelsOf(without), await pixelsOf(withLora)];
  // Without it first: what is wrong there is no fault of the LoRA.
  await refuseBlank(
    without,
    thresholds,
    'The checkpoint, its VAE or the graph makes no picture even without the LoRA: try them in ComfyUI with the prompt of the proof.',
  );
  await refuseBlank(
    withLora,
    thresholds,
    'The LoRA destroys the picture: look at the loss in the report, lower kohya.learning_rate or proof.strength, or train in bf16 or fp32.',
  );
  if (one.width !== other.width || one.height !== other.height) {
    throw invalid(`${without} has ${one.width}×${one.height} pixels, ${withLora} ${other.width}×${other.height}`);
  }
  let sum = 0;
  let largest = 0;
  let changed = 0;
  for (let at = 0; at < one.pixels.length; at += 3) {
    let ofPixel = 0;
    for (let channel = at; channel < at + 3; channel++) {
      const difference = Math.abs((one.pixels[channel] ?? 0) - (other.pixels[channel] ?? 0));
      sum += difference;
      if (difference > ofPixel) ofPixel = difference;
    }
    if (ofPixel > 0) changed += 1;
    if (ofPixel > largest) largest = ofPixel;
  }
  if (changed === 0) {
    throw new TowerError('LORA_WITHOUT_EFFECT', `the images with and without the LoRA are the same: ${withLora}`, {
      next: 'The LoRA fits another kind of base model, or training has changed nothing; look at the loss in the report.',
    });
  }
  return { meanAbsolute: sum / one.pixels.length, largest, changedShare: changed / (one.width * one.height) };
}

async function refuseBlank(path: string, thresholds: CheckThresholds, next: string): Promise<void> {
  const reason = await whyBlank(path, thresholds);
  if (reason === undefined) return;
  throw new TowerError('PROOF_BLANK', `the proof image ${path} is ${reason}`, { next });
}

async function pixelsOf(path: string): Promise<{ pixels: Buffer; width: number; height: number }> {
  try {
    const image = sharp(path, { failOn: 'warning' }).removeAlpha().toColourspace('srgb');
    const { data, info } = await image.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    return { pixels: data, width: info.width, height: info.height };
  } catch (error) {
    throw invalid(`${path} cannot be decoded: ${describeError(error)}`);
  }
}

function invalid(reason: string): TowerError {
  return new TowerError('PROOF_INVALID', `the proof images cannot be compared: ${reason}`, {
    next: 'Let the run go on: the images are rendered again.',
  });
}
