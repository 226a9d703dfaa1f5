import type { CharacterJob } from './job.js';
import { vocabulary } from './vocabulary.js';

/** Names that the base model knows as things: as a trigger they would bring their thing along, and lose their meaning. */
const everydayNames = new Set(
  (
    'amber angel april art august autumn bear bill chase crystal daisy dawn diamond faith frank fox ginger grace grant hazel heather ' +
    'holly hope hunter iris ivy jack jade jasmine joy june king knight lily mark may mercedes olive opal pearl pepper prince queen ' +
    'raven robin rose ruby sky star storm summer sunny tiger violet will willow winter wolf'
  ).split(' '),
);

/** Why a job's trigger may work badly (weakness W26), for people; the job runs with it all the same. */
export function triggerNotice({
  trigger,
  description,
  tags,
}: Pick<CharacterJob, 'trigger' | 'description' | 'tags'>): string | undefined {
  const words = wordsOf(trigger);
  const used = new Set(wordsOf([description, ...tags, ...Object.values(vocabulary).flat()].join(' ')));
  const elsewhere = words.filter((word) => used.has(word));
  if (words.length > 0 && elsewhere.length === words.length) {
    return `the trigger ${trigger} also says something else in prompts or captions, so the LoRA cannot tell them apart; ${advice(trigger)}`;
  }
  if (words.length === 1 && everydayNames.has(words[0] ?? '')) {
    return `the trigger ${trigger} is an everyday word to the base model; ${advice(trigger)}`;
  }
  return undefined;
}

function advice(trigger: string): string {
  return `take a word of your own, such as ${wordsOf(trigger).join('')}_xk`;
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];
}
