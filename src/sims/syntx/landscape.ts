import { z } from 'zod';

import { SeededRandom } from '../../seeded-random.js';
import { productionStyles, productionTopics } from '../../syntx/generation/production-set.js';

const score = z.number().min(0).max(100);

/**
 * What prompts really score, and nobody is told: a mean for each style and category, for every wrapper (`*`) or one of its own.
 * Scores scatter about it.
 */
export const landscapeSchema = z.strictObject({
  /** Wrapper without its prefix, or `*` → style → category → mean. */
  means: z.record(z.string(), z.record(z.string(), z.record(z.string(), score))),
  /** Mean of prompts that show neither style nor category. */
  otherwise: score.default(70),
  /** Standard deviation of a score. */
  noise: z.number().min(0).default(10),
  seed: z.string().default('landscape'),
});

export type Landscape = z.output<typeof landscapeSchema>;

export interface LandscapeCell {
  readonly style: string | null;
  readonly category: string | null;
}

/** Words by which a prompt shows its style, beside the style's own name: the lead-ins of the producer. */
const styleWords: Readonly<Record<string, readonly string[]>> = {
  technisch: ['präzise'],
  kreativ: ['metaphorisch', 'metaphern'],
  akademisch: ['wissenschaftlich'],
  casual: ['locker'],
};

/** A landscape drawn from a seed, as the benchmarks draw theirs: effects of style, of category, and of both together. */
export function drawLandscape(seed: string, noise = 10): Landscape {
  const random = new SeededRandom(seed);
  const categories = Object.keys(productionTopics);
  const byCategory = new Map(categories.map((category) => [category, 5 * gaussian(random)]));
  const means = Object.fromEntries(
    productionStyles.map((style) => {
      const effect = 8 * gaussian(random);
      const cells = categories.map((category) => {
        const mean = 78 + effect + (byCategory.get(category) ?? 0) + 6 * gaussian(random);
        return [category, Math.min(100, Math.max(0, mean))] as const;
      });
      return [style, Object.fromEntries(cells)];
    }),
  );
  return landscapeSchema.parse({ means: { '*': means }, noise, seed });
}

/** The cell that a prompt shows: the style and the category, or one of its topics, that it names first. */
export function cellOf(prompt: string, landscape: Landscape): LandscapeCell {
  const styles = new Set<string>();
  const categories = new Set<string>();
  for (const byStyle of Object.values(landscape.means)) {
    for (const [style, cells] of Object.entries(byStyle)) {
      styles.add(style);
      for (const category of Object.keys(cells)) categories.add(category);
    }
  }
  const text = prompt.toLowerCase();
  return {
    style: named(text, styles, (style) => [style, ...(styleWords[style] ?? [])]),
    category: named(text, categories, (category) => [category, ...(productionTopics[category] ?? [])]),
  };
}

/** A score for a prompt: the same prompt, wrapper and landscape give the same one. */
export function drawScore(
  prompt: string,
  wrapper: string,
  landscape: Landscape,
): { cell: LandscapeCell; score: number } {
  const cell = cellOf(prompt, landscape);
  const mean = meanOf(cell, landscape.means[wrapper] ?? landscape.means['*'] ?? {}) ?? landscape.otherwise;
  const random = new SeededRandom(JSON.stringify([landscape.seed, wrapper, prompt]));
  const drawn = mean + landscape.noise * gaussian(random);
  return { cell, score: Math.min(100, Math.max(0, drawn)) };
}

/** A prompt that shows its style or its category only has the mean of all cells that it may be of. */
function meanOf({ style, category }: LandscapeCell, means: Landscape['means'][string]): number | undefined {
  if (style === null && category === null) return undefined;
  const fitting = Object.entries(means)
    .filter(([name]) => style === null || name === style)
    .flatMap(([, cells]) => Object.entries(cells).filter(([name]) => category === null || name === category))
    .map(([, mean]) => mean);
  return fitting.length === 0 ? undefined : fitting.reduce((sum, mean) => sum + mean, 0) / fitting.length;
}

function named(text: string, names: Iterable<string>, wordsOf: (name: string) => readonly string[]): string | null {
  let found: { readonly name: string; readonly at: number } | undefined;
  for (const name of names) {
    for (const word of wordsOf(name)) {
      const at = wordAt(text, word.toLowerCase());
      if (at >= 0 && at < (found?.at ?? Infinity)) found = { name, at };
    }
  }
  return found?.name ?? null;
}

/** Where a whole word, or several, begin; -1 for nowhere. */
function wordAt(text: string, word: string): number {
  const pattern = new RegExp(`(?<![\\p{L}\\p{N}_])${escaped(word)}(?![\\p{L}\\p{N}_])`, 'u');
  return text.search(pattern);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}

function gaussian(random: SeededRandom): number {
  const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
  return radius * Math.cos(2 * Math.PI * random.next());
}
