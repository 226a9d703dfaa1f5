/**
 * What Python's `\s` and `strip` take for white space, inside a character class. JavaScript's `\s` has one character more and
 * five fewer.
 */
export const pythonSpace = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`;

const edges = new RegExp(`^[${pythonSpace}]+|[${pythonSpace}]+$`, 'g');

/** Python's `str.strip()`. */
export function stripped(text: string): string {
  return text.replace(edges, '');
}
