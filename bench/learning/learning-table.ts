import { tableText } from '../../src/cli/table.js';
import { figureRow } from '../verdict.js';
import type { LearningVerdict } from './learning-benchmark.js';

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

export function learningTables({ size, rows, figures }: LearningVerdict): string[] {
  const head = ['POLICY', 'SHARE', 'WORST WORLD', 'CELLS IN 10 DAYS', '200–300 AFTER CHANGE', 'SCORES TO 90 %'];
  return [
    tableText(
      [`LEARNING, ${size} WORLDS EACH`, ...head],
      rows.map((row) => [
        ...[row.scenario, row.policy, percent(row.share), percent(row.worstShare)],
        ...[row.cellsInTenDays.toFixed(1), percent(row.shareAfter300), String(row.scoresTo90 ?? 'never')],
      ]),
    ),
    tableText(['LEARNING', 'FOUND', 'AIM', ''], figures.map(figureRow)),
  ];
}
