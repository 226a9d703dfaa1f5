import { defineConfig } from 'vitest/config';

/**
 * Server and fault tests mostly wait for processes: two files at a time on two cores, generous limits. Every file
 * has machines of its own (state directory, ports, GPU lock).
 */
const slow = {
  pool: 'forks',
  maxWorkers: 2,
  // After the quick projects; vitest wants it where the number of workers differs.
  sequence: { groupOrder: 1 },
  testTimeout: 180_000,
  hookTimeout: 180_000,
} as const;

export default defineConfig({
  test: {
    passWithNoTests: false,
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], testTimeout: 30_000, hookTimeout: 30_000 } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 60_000 } },
      { test: { name: 'replay', include: ['test/replay/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'server', include: ['test/server/**/*.test.ts'], ...slow } },
      { test: { name: 'faults', include: ['test/faults/**/*.test.ts'], ...slow } },
    ],
  },
});
