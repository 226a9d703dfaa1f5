import type { CharacterJob } from './job.js';
import { attributeTags, joinTags } from './prompts.js';
import type { Attributes } from './vocabulary.js';

export type CaptionedJob = Pick<
  CharacterJob,
  'trigger' | 'triggerInCaptions' | 'tags' | 'description' | 'captionQuality'
>;

/** Caption of one image, never empty: trigger, tags, first part of the description, what it shows, quality; no repeats. */
export function captionOf(job: CaptionedJob, attributes: Partial<Attributes> | undefined): string {
  const caption = joinTags([
    job.triggerInCaptions ? job.trigger : null,
    ...job.tags,
    job.description.split(',')[0],
    ...attributeTags(attributes ?? {}),
    ...job.captionQuality,
  ]);
  // Only when everything else was taken out of the job: an empty caption stops the trainer (contract kohya.md, 3.1).
  return caption === '' ? job.trigger : caption;
}
