/** Below this many epochs a scatter cannot be told from a trend. */
const leastEpochs = 6;

/**
 * How much a held-out loss scatters from epoch to epoch apart from its trend: twice the standard deviation of the difference of
 * two epochs, estimated robustly from third differences, in which any trend that bends evenly cancels out.
 *
 * @returns `null` for fewer than six epochs.
 */
export function lossNoise(losses: readonly number[]): number | null {
  if (losses.length < leastEpochs) return null;
  const third = differences(differences(differences(losses)));
  // The median of |N(0, s²)| is 0.6745 s; a third difference of independent values has 1 + 9 + 9 + 1 times their variance.
  const deviation = median(third.map(Math.abs)) / 0.6745 / Math.sqrt(20);
  return 2 * Math.SQRT2 * deviation;
}

function differences(values: readonly number[]): number[] {
  return values.slice(1).map((value, index) => value - (values[index] ?? value));
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}
