import { styleText } from 'node:util';

import type { CellRow } from '../../syntx/learning/cell-table.js';
import { tableText } from '../table.js';

type Shown = Pick<CellRow, 'style' | 'category' | 'draws' | 'mean' | 'expected'>;

/** Styles below each other, categories beside each other: expected score, and how many scores stand behind it. */
export function heatmapText(rows: readonly Shown[], { colour }: { readonly colour: boolean }): string {
  const styles = [...new Set(rows.map(({ style }) => style))];
  const categories = [...new Set(rows.map(({ category }) => category))];
  const known = rows.flatMap(({ expected }) => (expected === null ? [] : [expected.value]));
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const cellText = (row: Shown | undefined): string => {
    if (row?.expected == null) return '-';
    const { value } = row.expected;
    const text = `${value.toFixed(0)} (${row.draws})`;
    return colour ? styleText(toneOf(high === low ? 0.5 : (value - low) / (high - low)), text) : text;
  };
  const lines = styles.map((style) => [
    style,
    ...categories.map((category) => cellText(rows.find((row) => row.style === style && row.category === category))),
  ]);
  return tableText(['', ...categories], lines);
}

/** @param rank 0 for the lowest of all cells, 1 for the highest. */
function toneOf(rank: number): 'red' | 'yellow' | 'green' {
  if (rank < 1 / 3) return 'red';
  return rank < 2 / 3 ? 'yellow' : 'green';
}
