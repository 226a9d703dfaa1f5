import { z } from 'zod';

import { SeededRandom } from '../../seeded-random.js';
import type { DrawInput, Drawn, LearningPolicy } from './draw.js';
import { patterns } from './patterns.js';
import { thompson } from './thompson.js';
import { uniform } from './uniform.js';

const policyNames = ['thompson', 'patterns', 'uniform'] as const;

/** How the next prompts are chosen. `describe` texts are for `tower config init`. */
export const learningOptionsSchema = z.strictObject({
  policy: z
    .enum(policyNames)
    .default('thompson')
    .describe('thompson learns from every score; patterns is the rule of the original; uniform learns nothing'),
  goodScore: z.number().min(0).max(100).default(90).describe('from this score on, an answer is good'),
  mostPatternJobs: z.int().positive().default(50).describe('policy patterns: so many of the best jobs teach'),
  coverageEvery: z.number().min(1).default(20).describe('one draw of so many is kept for a cell that is overdue'),
  overdueAfterDraws: z.int().positive().default(1000).describe('a cell is overdue when not among so many draws'),
  expectedLandscapeScores: z.number().min(20).default(2000).describe('how many scores a landscape is expected to last'),
  memoryScores: z.int().min(100).default(5000).describe('only so many of the latest scores are looked at'),
  wrapper: z
    .string()
    .min(1)
    .optional()
    .describe('learn for this wrapper alone, once it has scores; default: for all by their share'),
});

export type LearningOptions = z.output<typeof learningOptionsSchema>;

/**
 * Draws style, category and topic of the next prompts, each with the reason. The same jobs, options and seed give the same
 * draws, whatever the order of the jobs: a restart plans the same generation.
 */
export function drawPrompts(input: DrawInput, options: LearningOptions): Drawn {
  return policyOf(options)(input, new SeededRandom(input.seed));
}

function policyOf(options: LearningOptions): LearningPolicy {
  const { policy, goodScore, mostPatternJobs } = options;
  switch (policy) {
    case 'thompson':
      return (input, random) => thompson(input, options, random);
    case 'patterns':
      return (input, random) => patterns(input, { minimumScore: goodScore, mostJobs: mostPatternJobs }, random);
    case 'uniform':
      return uniform;
  }
}
