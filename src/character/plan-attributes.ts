import { SeededRandom } from '../seeded-random.js';
import { contradictionsIn, faceHidden, showsFace } from './contradictions.js';
import { axes, vocabulary, type Attributes, type Axis } from './vocabulary.js';

/** Expressions are dealt, not swapped. */
type Swapped = Exclude<Axis, 'expression'>;
type Row = { -readonly [Name in Axis]: Attributes[Name] };

/** More than any count from 1 to 10,000 was seen to need. */
const maximumDeals = 500;
const randomSwaps = 500;
/** Different ones: 14 poses in 67 kinds of light and background; half of that leaves room to settle the rest. */
const mostWithoutFace = 400;
const dealtFirst: readonly Swapped[] = ['lighting', 'background', 'pose', 'angle'];

/**
 * What `count` images show: every value of an axis is used as often as every other, give or take one (expressions: among the
 * images that show a face), no two images show the same, and none breaks a rule of contradictions.ts.
 *
 * Each axis is dealt evenly and shuffled; an image that breaks a rule or repeats another then swaps one value with an image for
 * which the exchange is no worse, so that the counts stay even. Deterministic for a seed.
 *
 * @param count - 1 to 10,000.
 */
export function planAttributes(count: number, seed: number): Attributes[] {
  for (let deal = 0; deal < maximumDeals; deal++) {
    const table = new Table(count, new SeededRandom(`character plan ${seed} ${count} ${deal}`));
    if (table.repair()) return table.rows;
  }
  // Not reached for 1 to 10,000 images of this vocabulary; a longer table of rules may make it impossible.
  throw new Error(`no plan of ${count} images keeps to the rules of contradictions.ts`);
}

class Table {
  readonly rows: Row[];
  readonly #random: SeededRandom;
  /** How many rows show the same. */
  readonly #uses = new Map<string, number>();

  constructor(count: number, random: SeededRandom) {
    this.#random = random;
    const columns = new Map(axes.map((axis) => [axis, this.#deal(vocabulary[axis], count)]));
    const value = (axis: Axis, row: number) => columns.get(axis)?.[row] ?? '';
    this.rows = Array.from({ length: count }, (_, row) => ({
      pose: value('pose', row),
      expression: null,
      angle: value('angle', row),
      lighting: value('lighting', row),
      background: value('background', row),
    }));
  }

  /** @returns whether the whole table keeps to the rules now. */
  repair(): boolean {
    const broken = (row: Row) => contradictionsIn(row).length;
    // Where a face is seen depends on pose and angle, so expressions are dealt after those have settled.
    if (!this.#settle(dealtFirst, broken)) return false;
    this.#turnBack();
    this.#dealExpressions();
    for (const row of this.rows) this.#count(row, 1);
    const misplaced = (row: Row) => Number((row.expression === null) === showsFace(row));
    const repeats = (row: Row) => (this.#uses.get(keyOf(row)) ?? 0) - 1;
    return this.#settle(dealtFirst, (row) => broken(row) + misplaced(row) + repeats(row));
  }

  /**
   * Half of those who look back over the shoulder are seen from behind, where the look belongs; in a large plan more, because there
   * are not many different back views without a face.
   */
  #turnBack(): void {
    const broken = (row: Row) => contradictionsIn(row).length;
    const lookBack = this.rows.filter(({ pose }) => pose === faceHidden.unlessPose);
    const fromBehind = this.rows.filter((row) => !showsFace(row));
    const already = lookBack.filter(({ angle }) => angle === faceHidden.angle).length;
    let wanted = Math.max(Math.ceil(lookBack.length / 2) - already, fromBehind.length - mostWithoutFace);
    for (const row of lookBack) {
      if (wanted <= 0) return;
      if (row.angle === faceHidden.angle) continue;
      const partner = fromBehind.findIndex((other) => {
        this.#swap(row, other, 'angle');
        if (broken(row) + broken(other) === 0) return true;
        this.#swap(row, other, 'angle');
        return false;
      });
      if (partner < 0) continue;
      fromBehind.splice(partner, 1);
      wanted -= 1;
    }
  }

  #dealExpressions(): void {
    const faces = this.rows.filter(showsFace);
    const expressions = this.#deal(vocabulary.expression, faces.length);
    faces.forEach((row, index) => (row.expression = expressions[index] ?? null));
  }

  /** Each value as often as any other, give or take one, in random order. */
  #deal(values: readonly string[], count: number): string[] {
    const order = this.#shuffle([...values]);
    return this.#shuffle(Array.from({ length: count }, (_, index) => order[index % order.length] ?? ''));
  }

  #shuffle(items: string[]): string[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.#random.between(0, last);
      [items[last], items[other]] = [items[other] ?? '', items[last] ?? ''];
    }
    return items;
  }

  /** @param faults - Counts what is wrong with a row. */
  #settle(swapped: readonly Swapped[], faults: (row: Row) => number): boolean {
    for (const row of this.rows) while (faults(row) > 0) if (!this.#improve(row, swapped, faults)) return false;
    return true;
  }

  #improve(row: Row, swapped: readonly Swapped[], faults: (row: Row) => number): boolean {
    for (let round = 0; round < randomSwaps; round++) {
      const axis = swapped[this.#random.between(0, swapped.length - 1)] ?? 'lighting';
      const other = this.rows[this.#random.between(0, this.rows.length - 1)] ?? row;
      if (this.#trySwap([row, other], axis, faults)) return true;
    }
    return swapped.some((axis) => this.rows.some((other) => this.#trySwap([row, other], axis, faults)));
  }

  /** Swaps when the row gains and the other does not lose. */
  #trySwap([row, other]: [Row, Row], axis: Swapped, faults: (row: Row) => number): boolean {
    if (row[axis] === other[axis]) return false;
    // Once repeats are counted, one swap has to settle both: half settled, a row would often stay stuck.
    const allowed = this.#uses.size > 0 ? [0, 0] : [faults(row) - 1, faults(other)];
    this.#swap(row, other, axis);
    if (faults(row) <= (allowed[0] ?? 0) && faults(other) <= (allowed[1] ?? 0)) return true;
    this.#swap(row, other, axis);
    return false;
  }

  #swap(row: Row, other: Row, axis: Swapped): void {
    const isCounted = this.#uses.size > 0;
    if (isCounted) for (const changed of [row, other]) this.#count(changed, -1);
    [row[axis], other[axis]] = [other[axis], row[axis]];
    if (isCounted) for (const changed of [row, other]) this.#count(changed, 1);
  }

  #count(row: Row, by: 1 | -1): void {
    const key = keyOf(row);
    this.#uses.set(key, (this.#uses.get(key) ?? 0) + by);
  }
}

function keyOf(row: Row): string {
  return axes.map((axis) => row[axis] ?? '').join('|');
}
