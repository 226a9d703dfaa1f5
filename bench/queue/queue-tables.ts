import { tableText } from '../../src/cli/table.js';
import { figureRow } from '../verdict.js';
import type { ClaimVerdict } from './claim-benchmark.js';
import type { EvidenceVerdict } from './evidence-benchmark.js';

export function claimTables({ rows, figures }: ClaimVerdict): string[] {
  const ms = (value: number) => `${value.toFixed(2)} ms`;
  return [
    tableText(
      ['CLAIM AND SETTLE', 'ON', 'WAITING', 'MEDIAN', 'p99', 'FIRST', 'WITH LISTING'],
      rows.map(({ side, place, waiting, median, p99, first, cost }) => [
        ...[side, place, String(waiting), ms(median), ms(p99), ms(first), ms(cost)],
      ]),
    ),
    tableText(['CLAIM', 'FOUND', 'LIMIT', ''], figures.map(figureRow)),
  ];
}

export function evidenceTables({ size, sides, figures }: EvidenceVerdict): string[] {
  return [
    tableText(
      [`EVIDENCE OF ${size} JOBS`, 'SECONDS', 'MEMORY', 'LONGEST BLOCK'],
      sides.map(({ side, seconds, memoryGrowth, longestBlock }) => [
        ...[side, seconds.toFixed(2), `${(memoryGrowth / 2 ** 20).toFixed(0)} MiB`, `${longestBlock.toFixed(0)} ms`],
      ]),
    ),
    tableText(['EVIDENCE', 'FOUND', 'LIMIT', ''], figures.map(figureRow)),
  ];
}
