import { stripVTControlCharacters } from 'node:util';

/** Rows as aligned columns, two spaces apart, without trailing spaces; an empty table is an empty text. */
export function tableText(header: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return '';
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => widthOf(row[column] ?? ''))));
  return all.map((row) => alignedLine(row, widths)).join('\n');
}

/** `name  value` pairs with the values below each other. */
export function pairsText(pairs: readonly (readonly [string, string])[]): string {
  const widths = [Math.max(0, ...pairs.map(([name]) => widthOf(name)))];
  return pairs.map((pair) => alignedLine(pair, widths)).join('\n');
}

function alignedLine(cells: readonly string[], widths: readonly number[]): string {
  const padded = cells.map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell))));
  return padded.join('  ').trimEnd();
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
