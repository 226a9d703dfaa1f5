/** Perceptual hashes of images, to look up the nearest: 12 bytes an image, so ten thousand are nothing. */
export class HashIndex {
  readonly #indexes: number[] = [];
  /** Upper and lower half of each hash, in turn. */
  #halves = new Uint32Array(256);

  get size(): number {
    return this.#indexes.length;
  }

  /** @param hash - 16 hex digits. An image that is there already gets the new hash. */
  add(index: number, hash: string): void {
    const known = this.#indexes.indexOf(index);
    const at = known === -1 ? this.#indexes.push(index) - 1 : known;
    if (at * 2 >= this.#halves.length) {
      const larger = new Uint32Array(this.#halves.length * 2);
      larger.set(this.#halves);
      this.#halves = larger;
    }
    this.#halves.set(halvesOf(hash), at * 2);
  }

  /** The image whose hash differs in the fewest bits; `undefined` when there is none. */
  nearest(hash: string): { readonly index: number; readonly distance: number } | undefined {
    const [high, low] = halvesOf(hash);
    let best: { index: number; distance: number } | undefined;
    this.#indexes.forEach((index, at) => {
      const distance = bitsSet((this.#halves[at * 2] ?? 0) ^ high) + bitsSet((this.#halves[at * 2 + 1] ?? 0) ^ low);
      if (best === undefined || distance < best.distance) best = { index, distance };
    });
    return best;
  }
}

function halvesOf(hash: string): [number, number] {
  return [Number.parseInt(hash.slice(0, 8), 16), Number.parseInt(hash.slice(8), 16)];
}

/** Adds neighbouring fields of 1, 2, 4, 8 bits. */
function bitsSet(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  bits = (bits + (bits >>> 4)) & 0x0f0f0f0f;
  return Math.imul(bits, 0x01010101) >>> 24;
}
