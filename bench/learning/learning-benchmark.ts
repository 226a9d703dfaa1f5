import type { Figure } from '../verdict.js';
import { figuresOf, type LearningFigures } from './figures.js';
import { policies } from './policies.js';
import { scenarios } from './scenarios.js';
import { simulate } from './simulate.js';

export interface LearningOptions {
  /** Worlds of each kind, each drawn from a seed of its own. */
  readonly worlds: number;
  readonly days: number;
  /** Seeds begin with this. */
  readonly seed: string;
  /** Called with each row when it is there: all of them take minutes. */
  readonly onRow?: (row: LearningRow) => void;
}

export interface LearningRow extends LearningFigures {
  readonly scenario: string;
  readonly policy: string;
}

export interface LearningVerdict {
  readonly benchmark: 'learning';
  readonly size: number;
  readonly rows: readonly LearningRow[];
  readonly figures: readonly Figure[];
  readonly ok: boolean;
}

/** All policies in the same simulated worlds. */
export function runLearningBenchmark({ worlds, days, seed, onRow }: LearningOptions): LearningVerdict {
  const rows = scenarios.flatMap((scenario) =>
    Object.entries(policies).map(([policy, make]): LearningRow => {
      const courses = Array.from({ length: worlds }, (_, world) =>
        simulate(make(scenario), scenario, days, `${seed}/${scenario.name}/${world}`),
      );
      const found = { scenario: scenario.name, policy, ...figuresOf(courses) };
      onRow?.(found);
      return found;
    }),
  );
  const row = (scenario: string) => rows.find((one) => one.scenario === scenario && one.policy === 'thompson')!;
  const [plain, late] = [row('plain'), row('a day late')];
  const figures = [
    atLeast('share, plain', 100 * plain.share, 90, '%'),
    atLeast('cells in ten days, plain', plain.cellsInTenDays, 24, ''),
    atLeast('share, scores a day late', 100 * late.share, 82, '%'),
    atLeast('share 200 to 300 scores after a change, plain', 100 * plain.shareAfter300, 90, '%'),
  ];
  return { benchmark: 'learning', size: worlds, rows, figures, ok: figures.every(({ ok }) => ok) };
}

function atLeast(what: string, value: number, limit: number, unit: Figure['unit']): Figure {
  return { what, value, limit, bound: 'at least', unit, ok: value >= limit };
}
