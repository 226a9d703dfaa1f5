/** A square matrix, row by row. */
export class SquareMatrix {
  readonly size: number;
  readonly values: Float64Array;

  constructor(size: number, values = new Float64Array(size * size)) {
    this.size = size;
    this.values = values;
  }

  static from(size: number, entry: (row: number, column: number) => number): SquareMatrix {
    const matrix = new SquareMatrix(size);
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) matrix.values[row * size + column] = entry(row, column);
    }
    return matrix;
  }

  at(row: number, column: number): number {
    return this.values[row * this.size + column]!;
  }

  copy(): SquareMatrix {
    return new SquareMatrix(this.size, this.values.slice());
  }
}

/** What rounding may take away from a variance before it counts as not positive. */
const smallestPivot = 1e-9;

/**
 * Turns the lower triangle of a symmetric positive definite matrix into L with L Lᵀ = the matrix, in place; what is above the
 * diagonal is neither read nor written. Pivots of a semidefinite matrix that rounding made zero or negative become tiny.
 */
export function decompose(matrix: SquareMatrix): SquareMatrix {
  const { size, values } = matrix;
  for (let row = 0; row < size; row++) {
    const rowStart = row * size;
    for (let column = 0; column <= row; column++) {
      const columnStart = column * size;
      let rest = values[rowStart + column]!;
      for (let k = 0; k < column; k++) rest -= values[rowStart + k]! * values[columnStart + k]!;
      values[rowStart + column] =
        row === column ? Math.sqrt(Math.max(rest, smallestPivot)) : rest / values[columnStart + column]!;
    }
  }
  return matrix;
}

/** Solves L x = `right` for a lower triangle. */
export function solveLower({ size, values }: SquareMatrix, right: Float64Array): Float64Array {
  const solution = new Float64Array(size);
  for (let row = 0; row < size; row++) {
    let rest = right[row]!;
    for (let k = 0; k < row; k++) rest -= values[row * size + k]! * solution[k]!;
    solution[row] = rest / values[row * size + row]!;
  }
  return solution;
}

/** Sum of the logarithms of the diagonal: half the log determinant of the matrix that was decomposed. */
export function logDiagonal({ size, values }: SquareMatrix): number {
  let sum = 0;
  for (let row = 0; row < size; row++) sum += Math.log(values[row * size + row]!);
  return sum;
}

/** L x for a lower triangle. */
export function timesLower({ size, values }: SquareMatrix, vector: Float64Array): Float64Array {
  return Float64Array.from({ length: size }, (_, row) => {
    let sum = 0;
    for (let k = 0; k <= row; k++) sum += values[row * size + k]! * vector[k]!;
    return sum;
  });
}

export function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let index = 0; index < a.length; index++) sum += a[index]! * b[index]!;
  return sum;
}
