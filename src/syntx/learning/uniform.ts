import type { SeededRandom } from '../../seeded-random.js';
import { CellGrid } from './cell-grid.js';
import { shuffled } from './distributions.js';
import { TopicDealer, type DrawInput, type Drawn } from './draw.js';

/** Learns nothing: every cell is as likely as any other. */
export function uniform({ landscape, count }: DrawInput, random: SeededRandom): Drawn {
  const grid = new CellGrid(landscape);
  const topics = new TopicDealer(landscape, random);
  const prompts = Array.from({ length: count }, () => {
    const cell = grid.cell(random.between(0, grid.size - 1));
    const text = `one of ${grid.size} cells, all equally likely`;
    return { ...cell, topic: topics.next(cell.category), reason: { kind: 'random', text } as const };
  });
  return { prompts, learnedFrom: null, taught: [] };
}

/**
 * The original's exploration (contract syntx 2.4): topics of all categories without replacement, so that large categories come
 * up more often, and styles at random.
 *
 * @param styles - The styles to choose from, and why.
 */
export function acrossTopics(
  { landscape, count }: Pick<DrawInput, 'landscape' | 'count'>,
  { styles, reason }: { readonly styles: readonly string[]; readonly reason: Drawn['prompts'][number]['reason'] },
  random: SeededRandom,
): Drawn['prompts'] {
  const pairs = Object.entries(landscape.topics).flatMap(([category, topics]) =>
    topics.map((topic) => ({ category, topic })),
  );
  return shuffled(random, pairs)
    .slice(0, count)
    .map((pair) => ({ ...pair, style: styles[random.between(0, styles.length - 1)] ?? '', reason }));
}
