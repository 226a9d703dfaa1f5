import { axes, type Attributes } from './vocabulary.js';

/** Joins tags with comma and space: no empty ones, none twice, whatever their case. */
export function joinTags(tags: readonly (string | null | undefined)[]): string {
  const seen = new Set<string>();
  const kept: string[] = [];
  for (const tag of tags) {
    // A line break would end a caption, of which the trainer reads the first line.
    const text = tag?.replace(/\s+/g, ' ').trim() ?? '';
    const key = text.toLowerCase();
    if (text === '' || seen.has(key)) continue;
    seen.add(key);
    kept.push(text);
  }
  return kept.join(', ');
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
  return joinTags([
    parts.triggerInPrompts ? parts.trigger : null,
    ...parts.description.split(','),
    ...attributeTags(attributes),
    ...parts.promptQuality,
  ]);
}
