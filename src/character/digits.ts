/** Digits on a grid of 3 × 5, a line of bits for each row. */
const shapes: readonly (readonly number[])[] = [
  [0b111, 0b101, 0b101, 0b101, 0b111],
  [0b010, 0b110, 0b010, 0b010, 0b111],
  [0b111, 0b001, 0b111, 0b100, 0b111],
  [0b111, 0b001, 0b111, 0b001, 0b111],
  [0b101, 0b101, 0b111, 0b001, 0b001],
  [0b111, 0b100, 0b111, 0b001, 0b111],
  [0b111, 0b100, 0b111, 0b101, 0b111],
  [0b111, 0b001, 0b010, 0b010, 0b010],
  [0b111, 0b101, 0b111, 0b101, 0b111],
  [0b111, 0b101, 0b111, 0b001, 0b111],
];

/** A whole number from 0 as the path of an SVG, with squares of `unit` pixels. */
export function digitsPath(number: number, { left, top, unit }: { left: number; top: number; unit: number }): string {
  const squares: string[] = [];
  [...String(number)].forEach((digit, place) => {
    shapes[Number(digit)]?.forEach((bits, row) => {
      for (let column = 0; column < 3; column++) {
        if (((bits >> (2 - column)) & 1) === 0) continue;
        const x = left + (place * 4 + column) * unit;
        squares.push(`M${x.toFixed(1)} ${(top + row * unit).toFixed(1)}h${unit}v${unit}h-${unit}z`);
      }
    });
  });
  return squares.join('');
}
