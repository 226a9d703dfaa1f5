import type { SeededRandom } from '../../seeded-random.js';
import { averagesOf, type DrawInput, type Drawn } from './draw.js';
import { compareText } from './scored-job.js';
import { acrossTopics } from './uniform.js';

export interface PatternOptions {
  /** Only jobs with at least this score teach. */
  readonly minimumScore: number;
  readonly mostJobs: number;
}

const topValues = 3;

/**
 * The original's rule, to the letter (contract syntx 2.3, 2.4): of the jobs in `processed/` the 50 best with at least 90 points
 * teach, whatever their wrapper; styles come from the first three distinct ones among them (best score first, then oldest
 * name), topics are left to chance.
 */
export function patterns(input: DrawInput, options: PatternOptions, random: SeededRandom): Drawn {
  const { styles } = input.landscape;
  const best = input.jobs
    .filter(({ place, score }) => place === 'processed' && score >= options.minimumScore)
    .sort((a, b) => b.score - a.score || compareText(a.id, b.id))
    .slice(0, options.mostJobs);
  if (best.length === 0) {
    const text = `no job in processed/ with ${options.minimumScore} points: styles and topics at random`;
    return {
      prompts: acrossTopics(input, { styles, reason: { kind: 'random', text } }, random),
      learnedFrom: null,
      taught: [],
    };
  }
  const topStyles = firstDistinct(best.map(({ style }) => style));
  const text = `style from the ${best.length} best jobs (${topStyles.join(', ')}), topic at random`;
  return {
    prompts: acrossTopics(input, { styles: topStyles, reason: { kind: 'pattern', text } }, random),
    learnedFrom: { ...averagesOf(best), topCategories: firstDistinct(best.map(({ category }) => category)), topStyles },
    taught: best.map(({ id }) => id),
  };
}

function firstDistinct(values: readonly string[]): string[] {
  return [...new Set(values)].slice(0, topValues);
}
