import { createHash } from 'node:crypto';

/**
 * The files that are kept out of training. A hash of the file decides, so that a file stays on its side from day to day
 * and two days' adapters are compared on files that neither has seen.
 *
 * With few files the hash may choose none, or all: then the file with the lowest hash is held out alone, or the one with
 * the highest is trained on. One file alone is always trained on.
 */
export function heldOutFiles(files: Iterable<string>, share: number): Set<string> {
  const ranked = [...new Set(files)]
    .map((file) => ({ file, place: placeOf(file) }))
    .sort((a, b) => a.place - b.place || (a.file < b.file ? -1 : 1));
  if (share === 0 || ranked.length < 2) return new Set();
  const chosen = ranked.filter(({ place }) => place < share).length;
  const count = Math.min(Math.max(chosen, 1), ranked.length - 1);
  return new Set(ranked.slice(0, count).map(({ file }) => file));
}

/** A number in [0, 1) that depends on nothing but the file. */
function placeOf(file: string): number {
  const hash = createHash('sha256').update(`held-out\0${file}`).digest();
  return hash.readUIntBE(0, 6) / 2 ** 48;
}
