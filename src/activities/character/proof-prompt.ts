import type { CharacterJob } from '../../character/job.js';
import { joinTags } from '../../character/prompts.js';

/** What every caption of the character has, so that the LoRA is called by what it was taught. */
export function proofPromptOf({ trigger, tags, description, promptQuality }: CharacterJob): string {
  return joinTags([trigger, ...tags, description.split(',')[0], ...promptQuality]);
}
