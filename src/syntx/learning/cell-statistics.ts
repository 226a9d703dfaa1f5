/** Count, mean and spread of the scores of every cell: all that a Gaussian model needs of them. */
export class CellStatistics {
  readonly counts: Float64Array;
  readonly means: Float64Array;
  /** Sum of squared differences from the mean of the cell. */
  readonly squares: Float64Array;

  constructor(size: number) {
    this.counts = new Float64Array(size);
    this.means = new Float64Array(size);
    this.squares = new Float64Array(size);
  }

  get size(): number {
    return this.counts.length;
  }

  add(cell: number, score: number): void {
    this.#merge(cell, { count: 1, mean: score, square: 0 });
  }

  addAll(other: CellStatistics): void {
    for (let cell = 0; cell < other.size; cell++) {
      const count = other.counts[cell]!;
      if (count > 0) this.#merge(cell, { count, mean: other.means[cell]!, square: other.squares[cell]! });
    }
  }

  copy(): CellStatistics {
    const copy = new CellStatistics(this.size);
    copy.counts.set(this.counts);
    copy.means.set(this.means);
    copy.squares.set(this.squares);
    return copy;
  }

  /** Numbers of the cells that have scores, ascending. */
  seen(): number[] {
    const cells: number[] = [];
    for (let cell = 0; cell < this.counts.length; cell++) if (this.counts[cell]! > 0) cells.push(cell);
    return cells;
  }

  get total(): number {
    return this.counts.reduce((sum, count) => sum + count, 0);
  }

  /** Two samples become one, without the cancellation of sums of squares. */
  #merge(cell: number, other: { readonly count: number; readonly mean: number; readonly square: number }): void {
    const before = this.counts[cell]!;
    const count = before + other.count;
    const difference = other.mean - this.means[cell]!;
    this.counts[cell] = count;
    this.means[cell]! += (difference * other.count) / count;
    this.squares[cell]! += other.square + (difference * difference * before * other.count) / count;
  }
}
