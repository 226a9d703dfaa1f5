/** Below this many epochs a scatter cannot be told from a trend. */
const leastEpochs = 5;

/**
 * How much a held-out loss scatters from epoch to epoch apart from its trend: twice the standard deviation of the difference of
 * two epochs, estimated robustly from second differences, in which any straight trend cancels out.
 *
 * @returns `null` for fewer than five epochs.
 */
export function lossNoise(losses: readonly number[]): number | null {
  if (losses.length < leastEpochs) return null;
  const bends = losses
    .slice(2)
    .map((loss, index) => Math.abs(loss - 2 * (losses[index + 1] ?? loss) + (losses[index] ?? loss)));
  // The median of |N(0, s²)| is 0.6745 s; a second difference of independent values has 6 times their variance.
  const deviation = median(bends) / 0.6745 / Math.sqrt(6);
  return 2 * Math.SQRT2 * deviation;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}
