import { SeededRandom } from '../../src/seeded-random.js';
import { CellGrid } from '../../src/syntx/learning/cell-grid.js';
import type { Landscape, ScoredJob } from '../../src/syntx/learning/scored-job.js';
import type { BenchmarkPolicy } from './policies.js';
import { batch, scoresPerDay, type Scenario } from './scenarios.js';
import { World } from './world.js';

/** One draw: its cell, and what a score is expected to be there, in the best cell, and on average over all cells. */
export interface Draw {
  readonly cell: number;
  readonly expected: number;
  readonly best: number;
  readonly average: number;
}

const minute = 60_000;
const goodScore = 90;

/**
 * Lives through one world day by day: a batch is drawn with what is known by then, then scored; at half time the landscape is
 * replaced.
 */
export function simulate(policy: BenchmarkPolicy, scenario: Scenario, days: number, seed: string): Draw[] {
  const landscape = landscapeOf(scenario);
  const grid = new CellGrid(landscape);
  const worlds = ['first', 'second'].map((half) => new World(scenario.kind, `${seed}/${half}`));
  const noise = new SeededRandom(`${seed}/noise`);
  const total = days * scoresPerDay;
  const jobs: ScoredJob[] = [];
  const draws: Draw[] = [];
  for (let start = 0; start < total; start += batch) {
    const world = worlds[start < total / 2 ? 0 : 1]!;
    const best = Math.max(...world.expected);
    const average = world.expected.reduce((sum, value) => sum + value, 0) / grid.size;
    const known = jobs.slice(0, Math.max(0, start - scenario.delay));
    const pending = jobs.slice(known.length);
    const { prompts, taught } = policy({ jobs: known, pending, landscape, count: batch, seed: `${seed}/${start}` });
    archive(jobs, new Set(taught));
    for (const { style, category } of prompts) {
      const cell = grid.indexOf({ style, category })!;
      const score = world.score(cell, noise);
      draws.push({ cell, expected: world.expected[cell]!, best, average });
      jobs.push({
        ...{ id: String(jobs.length).padStart(6, '0'), style, category, wrapper: 'sigma', score },
        ...{ scoredAt: jobs.length * 15 * minute, fieldCompleteness: null },
        place: score >= goodScore ? 'processed' : 'error',
      });
    }
  }
  return draws;
}

/** As the producer does it: what has taught leaves `processed/`, and the rule of the original does not see it again. */
function archive(jobs: ScoredJob[], taught: ReadonlySet<string>): void {
  jobs.forEach((job, index) => {
    if (job.place === 'processed' && taught.has(job.id)) jobs[index] = { ...job, place: 'archive' };
  });
}

function landscapeOf({ kind }: Scenario): Landscape {
  const names = (letter: string, length: number) => Array.from({ length }, (_, index) => `${letter}${index}`);
  const topics = names('category ', kind.categories).map((category) => [category, names('topic ', 5)] as const);
  return { styles: names('style ', kind.styles), topics: Object.fromEntries(topics) };
}
