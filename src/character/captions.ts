import type { CharacterJob } from './job.js';
import type { Attributes } from './vocabulary.js';

/** Caption of one image, never empty: trigger, tags, first part of the description, what it shows, quality; no repeats. */
export declare function captionOf(
  job: Pick<CharacterJob, 'trigger' | 'triggerInCaptions' | 'tags' | 'description' | 'captionQuality'>,
  attributes: Partial<Attributes> | undefined,
): string;
