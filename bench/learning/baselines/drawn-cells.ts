import { SeededRandom } from '../../../src/seeded-random.js';
import { CellGrid } from '../../../src/syntx/learning/cell-grid.js';
import type { DrawInput, Drawn } from '../../../src/syntx/learning/draw.js';

/** Prompts of these cells; topics play no part in the simulated worlds. */
export function drawnCells(
  { landscape, count, seed }: DrawInput,
  choose: (random: SeededRandom, grid: CellGrid) => number,
): Drawn {
  const grid = new CellGrid(landscape);
  const random = new SeededRandom(seed);
  const prompts = Array.from({ length: count }, () => ({
    ...{ ...grid.cell(choose(random, grid)), topic: 'any' },
    reason: { kind: 'sampled', text: 'a baseline' } as const,
  }));
  return { prompts, learnedFrom: null, taught: [] };
}

/** The first of the highest values. */
export function best(values: Iterable<number>): number {
  const all = [...values];
  return all.indexOf(Math.max(...all));
}
