import { styleText } from 'node:util';

import type { CellRow } from '../../syntx/learning/cell-table.js';
import { tableText } from '../table.js';

type Shown = Pick<CellRow, 'style' | 'category' | 'draws' | 'mean' | 'expected'>;

/**
 * Expected score of each style and category, and how many scores stand behind it. The shorter of the two lists goes across, so
 * that the usual four styles and seven categories fit into 80 columns.
 */
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
  const found = (style: string, category: string) =>
    cellText(rows.find((row) => row.style === style && row.category === category));
  if (styles.length > categories.length) {
    const lines = styles.map((style) => [style, ...categories.map((category) => found(style, category))]);
    return tableText(['', ...categories], lines);
  }
  const lines = categories.map((category) => [category, ...styles.map((style) => found(style, category))]);
  return tableText(['', ...styles], lines);
}

/** @param rank 0 for the lowest of all cells, 1 for the highest. */
function toneOf(rank: number): 'red' | 'yellow' | 'green' {
  if (rank < 1 / 3) return 'red';
  return rank < 2 / 3 ? 'yellow' : 'green';
}
