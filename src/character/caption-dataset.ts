import type { ServiceOptions } from '../service-options.js';
import type { CharacterRun } from './character-run.js';

export interface CaptionSummary {
  readonly images: number;
  readonly written: number;
  /** Edited by a person, left as they are. */
  readonly kept: number;
  /** Captions without an image's own pose, expression, angle, lighting and background, because no record has them. */
  readonly withoutAttributes: number;
  /** Were there, but empty, and were written anew: an empty caption stops the trainer. */
  readonly refilled: number;
}

/**
 * Writes a caption beside each image, and the data set's JSON files and contact sheets. Repeating it changes nothing.
 *
 * @throws TowerError `TOO_FEW_IMAGES` (fewer than `minImages`), `DISK_FULL`
 */
export declare function captionDataset(
  run: CharacterRun,
  options: ServiceOptions<{ readonly done: number; readonly total: number }>,
): Promise<CaptionSummary>;
