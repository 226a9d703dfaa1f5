import type { SeededRandom } from '../../seeded-random.js';

/** Independent standard normal numbers (Box and Muller). */
export function standardNormals(random: SeededRandom, length: number): Float64Array {
  return Float64Array.from({ length }, () => {
    const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
    return radius * Math.cos(2 * Math.PI * random.next());
  });
}

/** Draws an index with a probability in proportion to its weight. */
export function weightedIndex(random: SeededRandom, weights: readonly number[]): number {
  let rest = random.next() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    rest -= weight;
    if (rest < 0) return index;
  }
  return weights.length - 1;
}

export function logSumExp(values: readonly number[]): number {
  const largest = Math.max(...values);
  if (largest === -Infinity) return -Infinity;
  return largest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - largest), 0));
}

/** Natural logarithm of the gamma function for x > 0: recurrence up to 10, then Stirling's series. */
export function logGamma(x: number): number {
  let shift = 0;
  let shifted = x;
  while (shifted < 10) {
    shift += Math.log(shifted);
    shifted += 1;
  }
  const inverse = 1 / shifted;
  const square = inverse * inverse;
  const series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)));
  return (shifted - 0.5) * Math.log(shifted) - shifted + 0.5 * Math.log(2 * Math.PI) + series - shift;
}

/** In a new order, every one equally likely (Fisher and Yates). */
export function shuffled<Item>(random: SeededRandom, items: readonly Item[]): Item[] {
  const order = [...items];
  for (let index = order.length - 1; index > 0; index--) {
    const other = random.between(0, index);
    [order[index], order[other]] = [order[other]!, order[index]!];
  }
  return order;
}
