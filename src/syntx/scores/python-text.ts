/**
 * What Python's `\s` and `strip` take for white space, inside a character class. JavaScript's `\s` has one character more and
 * five fewer.
 */
export const pythonSpace = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

const spaceCharacter = new RegExp(`^[${pythonSpace}]$`);

/** Whether the code unit at an index is white space; all of Python's is one code unit long. */
export function isSpaceAt(text: string, index: number): boolean {
  return spaceCharacter.test(text[index] ?? '');
}

/** Python's `str.strip()`; not by a pattern, whose search for the end would take the square of a long blank's length. */
export function stripped(text: string): string {
  let [start, end] = [0, text.length];
  while (start < end && isSpaceAt(text, start)) start += 1;
  while (end > start && isSpaceAt(text, end - 1)) end -= 1;
  return text.slice(start, end);
}
