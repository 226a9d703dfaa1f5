import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that last 40 s and more on two cores, longest first: begun last, one of them would run alone at the end. */
export const slowFiles = [
  'test/server/year.test.ts',
  'test/server/syntx-day.test.ts',
  'test/faults/character-disk-full.test.ts',
  'test/faults/character-troubles.test.ts',
  'test/faults/real-trainer-kill.test.ts',
  'test/faults/stage-kill.test.ts',
  'test/faults/trainer-kill.test.ts',
  'test/faults/trainer-faults.test.ts',
  'test/faults/server-away.test.ts',
  'test/faults/character-stage-kill.test.ts',
  'test/server/character-control.test.ts',
  'test/faults/character-yield.test.ts',
  'test/faults/worker-restart.test.ts',
  'test/faults/syntx-kill.test.ts',
  'test/server/cli-runs.test.ts',
  'test/server/demo.test.ts',
  'test/server/bench.test.ts',
  'test/faults/evaluation-kill.test.ts',
  'test/faults/character-kill.test.ts',
  'test/faults/worker-kill.test.ts',
  'test/faults/character-restart.test.ts',
  'test/faults/yield.test.ts',
  'test/faults/gpu-exclusion.test.ts',
  'test/server/character-run.test.ts',
  'test/server/acceptance.test.ts',
  'test/server/character-hosts.test.ts',
  'test/unit/toolchain-python-environment.test.ts',
];

/** Begins the slow files first, also in a fresh clone, where vitest remembers no durations. */
export class SlowestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(specifications);
    return sorted.toSorted((one, other) => groupOf(one) - groupOf(other) || rankOf(one) - rankOf(other));
  }
}

function groupOf({ project }: TestSpecification): number {
  return project.config.sequence.groupOrder;
}

function rankOf({ moduleId }: TestSpecification): number {
  const rank = slowFiles.findIndex((file) => moduleId.endsWith(`/${file}`));
  return rank === -1 ? slowFiles.length : rank;
}
