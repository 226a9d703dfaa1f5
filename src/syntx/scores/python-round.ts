/**
 * Python's `round(value, digits)`: to the nearest decimal of the double itself, and a tie, such as 0.125 to two digits, to the even one.
 *
 * @param digits - From 0 on.
 */
export function pythonRound(value: number, digits: number): number {
  const half = 2 ** (digits + 1);
  // Only a double of exactly so many binary digits lies in the middle of two decimals; its product below is exact.
  const isTie = Number.isInteger(value * half) && !Number.isInteger((value * half) / 2);
  if (!isTie) return Number(value.toFixed(digits));
  const below = Math.floor((value * half * 5 ** digits) / 2);
  return (below % 2 === 0 ? below : below + 1) / 10 ** digits;
}
