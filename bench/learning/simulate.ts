import { SeededRandom } from '../../src/seeded-random.js';
import { CellGrid } from '../../src/syntx/learning/cell-grid.js';
import type { LearningPolicy } from '../../src/syntx/learning/draw.js';
import type { Cell, Landscape, ScoredJob } from '../../src/syntx/learning/scored-job.js';
import { World, type WorldKind } from './world.js';

export interface Scenario {
  readonly kind: WorldKind;
  readonly days: number;
  readonly scoresPerDay: number;
  readonly batch: number;
  /** Scores are known so many draws after their prompt was drawn. */
  readonly delay: number;
}

/** Every draw of one world under one policy. */
export interface Course {
  /** Number of the cell, draw by draw. */
  readonly cells: readonly number[];
  /** What the cell drawn scores on average. */
  readonly expected: readonly number[];
  readonly best: readonly number[];
  readonly average: readonly number[];
}

const landscape: Landscape = {
  styles: ['s0', 's1', 's2', 's3'],
  topics: Object.fromEntries(
    Array.from({ length: 7 }, (_, category) => [`c${category}`, ['t1', 't2', 't3', 't4', 't5']]),
  ),
};
const hour = 3_600_000;

/** Lives through one world: draw a batch, score it, learn; at half time the landscape is replaced. */
export function simulate(policy: LearningPolicy, scenario: Scenario, seed: string): Course {
  const grid = new CellGrid(landscape);
  const worlds = [new World(scenario.kind, `${seed}/first`), new World(scenario.kind, `${seed}/second`)];
  const noise = new SeededRandom(`${seed}/noise`);
  const total = scenario.days * scenario.scoresPerDay;
  const jobs: ScoredJob[] = [];
  const course = { cells: [] as number[], expected: [] as number[], best: [] as number[], average: [] as number[] };
  const archived = new Set<string>();
  for (let start = 0; start < total; start += scenario.batch) {
    const world = worlds[start < total / 2 ? 0 : 1]!;
    const known = jobs
      .slice(0, Math.max(0, start - scenario.delay))
      .map((job) => (archived.has(job.id) ? { ...job, place: 'archive' as const } : job));
    const pending: Cell[] = jobs.slice(known.length);
    const batchSeed = `${seed}/batch ${start}`;
    const input = { jobs: known, pending, landscape, count: scenario.batch, seed: batchSeed };
    const { prompts, taught } = policy(input, new SeededRandom(batchSeed));
    for (const id of taught) archived.add(id);
    prompts.forEach(({ style, category }, index) => {
      const cell = grid.indexOf({ style, category })!;
      const score = world.score(cell, noise);
      jobs.push({
        ...{ id: String(start + index).padStart(6, '0'), style, category, wrapper: 'sigma', score },
        ...{
          scoredAt: (start + index) * (hour / 4),
          place: score >= 90 ? 'processed' : 'error',
          fieldCompleteness: null,
        },
      });
      course.cells.push(cell);
      course.expected.push(world.expected[cell]!);
      course.best.push(Math.max(...world.expected));
      course.average.push(world.expected.reduce((sum, value) => sum + value, 0) / grid.size);
    });
  }
  return course;
}
