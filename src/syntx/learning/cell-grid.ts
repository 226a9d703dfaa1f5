import type { Cell, Landscape } from './scored-job.js';

/** The cells of a landscape, numbered row by row: a row for each style, a column for each category. */
export class CellGrid {
  readonly styles: readonly string[];
  readonly categories: readonly string[];
  /** How many cells there are. */
  readonly size: number;
  readonly #rows: ReadonlyMap<string, number>;
  readonly #columns: ReadonlyMap<string, number>;
  readonly #rowOf: Uint16Array;
  readonly #columnOf: Uint16Array;

  constructor({ styles, topics }: Landscape) {
    this.styles = [...new Set(styles)];
    this.categories = Object.keys(topics).filter((category) => (topics[category]?.length ?? 0) > 0);
    this.size = this.styles.length * this.categories.length;
    this.#rows = numbered(this.styles);
    this.#columns = numbered(this.categories);
    this.#rowOf = Uint16Array.from({ length: this.size }, (_, index) => Math.floor(index / this.categories.length));
    this.#columnOf = Uint16Array.from({ length: this.size }, (_, index) => index % this.categories.length);
  }

  /** `undefined` for a style or category that is not configured (any more). */
  indexOf({ style, category }: Cell): number | undefined {
    const row = this.#rows.get(style);
    const column = this.#columns.get(category);
    return row === undefined || column === undefined ? undefined : row * this.categories.length + column;
  }

  cell(index: number): Cell {
    const style = this.styles[this.row(index)] ?? '';
    return { style, category: this.categories[this.column(index)] ?? '' };
  }

  row(index: number): number {
    return this.#rowOf[index]!;
  }

  column(index: number): number {
    return this.#columnOf[index]!;
  }
}

function numbered(names: readonly string[]): Map<string, number> {
  return new Map(names.map((name, index) => [name, index]));
}
