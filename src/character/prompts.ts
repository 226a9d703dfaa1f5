import { axes, type Attributes } from './vocabulary.js';

/** Joins tags with comma and space: no empty ones, none twice, whatever their case. */
export function joinTags(tags: readonly (string | null | undefined)[]): string {
  return distinctTags(tags, []).join(', ');
}

/** The tags without empty ones, repeats, and those that stand in `known`. */
function distinctTags(tags: readonly (string | null | undefined)[], known: readonly string[]): string[] {
  const seen = new Set(known.map(comparable));
  return tags.flatMap((tag) => {
    // A line break would end a caption, of which the trainer reads the first line.
    const text = tag?.replace(/\s+/g, ' ').trim() ?? '';
    if (text === '' || seen.has(comparable(text))) return [];
    seen.add(comparable(text));
    return [text];
  });
}

function comparable(tag: string): string {
  return tag.trim().toLowerCase();
}

/** What an image shows, in the order of prompts and captions. */
export function attributeTags(attributes: Partial<Attributes>): (string | null | undefined)[] {
  return axes.map((axis) => attributes[axis]);
}

export interface PromptParts {
  readonly description: string;
  readonly trigger: string;
  readonly triggerInPrompts: boolean;
  readonly promptQuality: readonly string[];
}

/** Positive prompt of one image: description, attributes, quality (contract lora-pipeline.md, 3.1). */
export function promptOf(parts: PromptParts, attributes: Attributes): string {
  const { triggerInPrompts, trigger, promptQuality } = parts;
  // As it was written: its commas may stand inside brackets that weigh its words.
  const description = parts.description.replace(/[,\s]+$/, '');
  const own = [...(triggerInPrompts ? [trigger] : []), ...(description === '' ? [] : [description])];
  const known = [...own, ...description.split(',')];
  return [...own, ...distinctTags([...attributeTags(attributes), ...promptQuality], known)].join(', ');
}
