import type { DailyCycleResult } from '../../workflows/daily-cycle.js';
import { evaluationLines } from '../adapters/evaluation-text.js';

/** What came of a cycle, for people. */
export function dailyCycleLines({ outcome, reason, ingest, training, marked, simulated }: DailyCycleResult): string[] {
  const { rows } = ingest;
  const superseded = rows.stale + rows.duplicate;
  return [
    `  ${outcome}: ${reason}${simulated ? ' [simulated]' : ''}`,
    `  batches: ${ingest.imported} imported, ${ingest.quarantined} quarantined, ${ingest.postponedCount} postponed, ${marked} marked`,
    `  rows: ${rows.new} new, ${rows.updated} updated, ${superseded} superseded, ${rows.quarantined} quarantined`,
    ...(training === undefined ? [] : trainingLines(training)),
  ];
}

function trainingLines(training: NonNullable<DailyCycleResult['training']>): string[] {
  const loss = (value: number | null) => (value === null ? 'not measured' : value.toFixed(4));
  const [losses, decision] = evaluationLines(training);
  return [
    `  ${training.version}: ${training.executedSteps} of ${training.plannedSteps} steps, ${training.redoneSteps} redone, ${training.launches} trainer start(s)`,
    `  loss: training ${loss(training.trainLoss)}, held out ${loss(training.heldOutLoss)}`,
    `  held-out loss: ${losses}`,
    `  ${decision}`,
  ];
}
