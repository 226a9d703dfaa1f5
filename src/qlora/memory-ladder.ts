import type { QloraHyperparameters } from './hyperparameters.js';

/** One rung of the out-of-memory ladder: what it adds to the rungs before it. */
export interface MemoryRung {
  /** For records and reports. */
  readonly description: string;
  readonly overrides: Partial<QloraHyperparameters>;
}

/**
 * The rungs for these hyperparameters, mildest first. A rung that would change nothing is left out, because a retry on it
 * would only run out of memory again. The first two leave the trained result as it is; the effective batch stays the same
 * on every rung, so that the planned number of optimiser steps does too.
 */
export function memoryLadder(hyperparameters: QloraHyperparameters): MemoryRung[] {
  const { batchSize, gradientAccumulation, maxLength } = hyperparameters;
  const rungs: MemoryRung[] = [];
  if (!hyperparameters.gradientCheckpointing) {
    rungs.push({ description: 'gradient checkpointing', overrides: { gradientCheckpointing: true } });
  }
  if (batchSize > 1) {
    const accumulation = batchSize * gradientAccumulation;
    rungs.push({
      description: `batch 1 with accumulation ${accumulation}`,
      overrides: { batchSize: 1, gradientAccumulation: accumulation },
    });
  }
  if (hyperparameters.optimiser !== 'adamw8bit') {
    rungs.push({ description: '8-bit optimiser', overrides: { optimiser: 'adamw8bit' } });
  }
  const halfLength = Math.floor(maxLength / 2);
  if (halfLength >= 64) rungs.push({ description: `maxLength ${halfLength}`, overrides: { maxLength: halfLength } });
  return rungs;
}

/** All overrides in force on a rung; 0 = as configured, a rung above the ladder's end means its last one. */
export function overridesOfRung(ladder: readonly MemoryRung[], rung: number): Partial<QloraHyperparameters> {
  return Object.assign({}, ...ladder.slice(0, rung).map(({ overrides }) => overrides)) as Partial<QloraHyperparameters>;
}
