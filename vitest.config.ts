import { defineConfig } from 'vitest/config';

import { memoryDirectory } from './test/support/memory-directory.js';
import { SlowestFirst } from './test/support/slowest-first.js';

const env = { TMPDIR: memoryDirectory() };

/** One file for each of two cores; vitest itself would leave one core to whoever watches. */
const quick = { env, maxWorkers: 2 } as const;

/**
 * Server and fault tests mostly wait for processes: four files at a time on two cores, generous limits. Every file
 * has machines of its own (state directory, ports, GPU lock).
 */
const slow = {
  env,
  pool: 'forks',
  maxWorkers: 4,
  // After the quick projects; vitest wants it where the number of workers differs.
  sequence: { groupOrder: 1 },
  testTimeout: 180_000,
  hookTimeout: 180_000,
} as const;

export default defineConfig({
  test: {
    passWithNoTests: false,
    sequence: { sequencer: SlowestFirst },
    projects: [
      {
        test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...quick, testTimeout: 30_000, hookTimeout: 30_000 },
      },
      {
        test: {
          name: 'contract',
          include: ['test/contract/**/*.test.ts'],
          ...quick,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'replay',
          include: ['test/replay/**/*.test.ts'],
          ...quick,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      { test: { name: 'server', include: ['test/server/**/*.test.ts'], ...slow } },
      { test: { name: 'faults', include: ['test/faults/**/*.test.ts'], ...slow } },
    ],
  },
});
