/**
 * Finds near-duplicates by the share of word triples that two texts have in common (Jaccard index of shingles). Comparisons of
 * characters would not do: two German texts about the same subject share most of their letter pairs.
 */
export class NearDuplicates {
  readonly #limit: number;
  readonly #known: { readonly name: string; readonly shingles: ReadonlySet<string> }[] = [];

  /** @param limit - From this share on, 0 to 1, texts count as the same. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(name: string, text: string): void {
    this.#known.push({ name, shingles: shinglesOf(text) });
  }

  /** The most similar text known, when it is too similar. */
  find(text: string): { readonly name: string; readonly similarity: number } | undefined {
    const shingles = shinglesOf(text);
    let closest: { name: string; similarity: number } | undefined;
    for (const known of this.#known) {
      const similarity = jaccard(shingles, known.shingles);
      if (similarity >= this.#limit && similarity > (closest?.similarity ?? 0)) {
        closest = { name: known.name, similarity };
      }
    }
    return closest;
  }
}

const shingleWords = 3;

function shinglesOf(text: string): Set<string> {
  const words =
    text
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu) ?? [];
  if (words.length < shingleWords) return new Set(words);
  return new Set(words.slice(shingleWords - 1).map((_, index) => words.slice(index, index + shingleWords).join(' ')));
}

function jaccard(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let common = 0;
  for (const shingle of a) if (b.has(shingle)) common += 1;
  const all = a.size + b.size - common;
  return all === 0 ? 1 : common / all;
}
