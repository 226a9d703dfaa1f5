/** One score, by the number of its cell. */
export interface CellScore {
  readonly cell: number;
  readonly score: number;
}

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

  static of(size: number, scores: readonly CellScore[]): CellStatistics {
    const statistics = new CellStatistics(size);
    for (const { cell, score } of scores) statistics.add(cell, score);
    return statistics;
  }

  get size(): number {
    return this.counts.length;
  }

  /** Without the cancellation of sums of squares (Welford). */
  add(cell: number, score: number): void {
    const count = this.counts[cell]! + 1;
    const difference = score - this.means[cell]!;
    this.counts[cell] = count;
    this.means[cell]! += difference / count;
    this.squares[cell]! += difference * (score - this.means[cell]!);
  }

  /** Numbers of the cells that have scores, ascending. */
  seen(): number[] {
    const cells: number[] = [];
    for (let cell = 0; cell < this.counts.length; cell++) if (this.counts[cell]! > 0) cells.push(cell);
    return cells;
  }
}
